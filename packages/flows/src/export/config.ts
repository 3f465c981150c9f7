/** One place that flows go to: `[[flows.exports]]`. */
import { z } from "zod";

export const exportSchema = z.object({
  to: z
    .string()
    .describe(
      "file:PATH (JSON lines), udp:HOST:PORT or tcp:HOST:PORT (IPFIX), http(s)://… (OTLP logs, the base URL of a collector)",
    ),
});

export type ExportConfig = z.infer<typeof exportSchema>;
