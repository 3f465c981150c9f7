import type { PartDefinition } from "@x0tta6bl4/core";
import { z } from "zod";

/** One table of the configuration file. */
export interface Section {
  readonly name: string;
  readonly summary: string;
  readonly schema: z.ZodObject;
}

export const nodeConfigSchema = z.object({
  listen: z
    .string()
    .default("127.0.0.1:4280")
    .describe("address and port of console, API and metrics; only loopback addresses are allowed"),
  log_level: z
    .enum(["debug", "info", "warn", "error"])
    .default("info")
    .describe("least level that is logged"),
  log_format: z
    .enum(["text", "json"])
    .default("text")
    .describe("`text` for people, `json` for collectors; always on stderr"),
});

export type NodeConfig = z.infer<typeof nodeConfigSchema>;

/** The node's own section, then each part's. */
export function sectionsOf(parts: readonly PartDefinition[]): readonly Section[] {
  return [
    { name: "node", summary: "The agent itself", schema: nodeConfigSchema },
    ...parts.map((part) => ({ name: part.name, summary: part.summary, schema: part.config })),
  ];
}
