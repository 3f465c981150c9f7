/** What `GET /api/v1/flows/summary` and `x0 flows summary` tell of a stretch of time. */
import { z } from "zod";
import { flowListSchema } from "../flow.ts";

export const summaryQuerySchema = z.object({
  since: z.string().default("24h").describe("15m, 2h or an ISO 8601 time"),
  until: z.string().default("now").describe("likewise"),
  top: z.coerce.number().int().min(1).max(1000).default(10).describe("most entries of each list"),
});

export type SummaryQuery = z.infer<typeof summaryQuerySchema>;

const traffic = {
  flows: z.number().int().describe("that began in this time"),
  bytes: z.number().int().describe("both ways, in this time"),
  packets: z.number().int(),
};

const name = z.string().nullable().describe("learned from DNS");

export const summarySchema = z.object({
  covers: flowListSchema.shape.covers,
  total: z.object(traffic),
  talkers: z.array(z.object({ ip: z.string(), name, ...traffic })).describe("addresses, by bytes"),
  services: z
    .array(z.object({ ip: z.string(), port: z.number().int(), protocol: z.string(), name, ...traffic }))
    .describe("what flows were opened to, by bytes"),
  processes: z
    .array(
      z.object({
        process: z.string(),
        unit: z.string().nullable(),
        container: z.string().nullable(),
        ...traffic,
      }),
    )
    .describe("of this host, by bytes"),
  drops: z.array(z.object({ reason: z.string(), packets: z.number().int() })),
  dnsFailures: z.array(
    z.object({
      name: z.string(),
      rcode: z.string().nullable().describe("null where no answer came"),
      count: z.number().int(),
    }),
  ),
  scans: z.array(
    z.object({
      ip: z.string(),
      scan: z.enum(["ports", "hosts", "flood"]),
      target: z.string().describe("the destination when it was last told"),
      count: z.number().int().describe("the most that were told at once"),
      latest: z.iso.datetime(),
    }),
  ),
  newDestinations: z
    .array(z.object({ ip: z.string(), name, first: z.iso.datetime(), ...traffic }))
    .describe("that this host opened flows to, or forwarded them to, and did not in the time before"),
  compared: z
    .object({
      from: z.iso.datetime(),
      to: z.iso.datetime(),
      isComplete: z.boolean().describe("whether the history reaches back so far"),
    })
    .describe("the time before: as long as this one, at least a day"),
  estimated: z
    .array(z.string())
    .describe("lists whose sums may be too small, because there was more to tell apart than memory for it"),
});

export type Summary = z.infer<typeof summarySchema>;
