/** What the API says of rehearsals and suggestions. */
import { z } from "zod";
import { flowListSchema } from "../../flow.ts";
import { applySchema } from "../schema.ts";
import { unasked } from "./asked.ts";

const since = z.string().max(64).describe("15m, 24h or an ISO 8601 time; flows with a packet since then");
const until = z.string().max(64).default("now").describe("likewise; flows that began before then");

export const rehearseBodySchema = z.strictObject({
  files: z
    .array(applySchema.shape.files.element)
    .max(1024)
    .default([])
    .describe("YAML documents; none: what is applied now"),
  alone: z.boolean().default(false).describe("leave out what is applied now"),
  management: applySchema.shape.management.describe(
    "management ports stay reachable, and loopback is not judged; else it is",
  ),
  since: since.default("24h"),
  until,
  top: z.number().int().min(1).max(4096).default(100).describe("most groups in the answer"),
});
export type RehearseBody = z.infer<typeof rehearseBodySchema>;

const count = z.number().int();
const unaskedSchema = z
  .object(
    Object.fromEntries(unasked.map((why) => [why, count])) as Record<(typeof unasked)[number], typeof count>,
  )
  .describe("flows of which policies are not asked, and why");
const rule = {
  policy: z.string(),
  path: z.string().describe("where the rule stands: spec.ingressDeny[0]; spec.ingress is its default deny"),
  decision: z.enum(["audit", "deny"]).describe("audit: only policies in audit would drop it"),
};
const direction = z.enum(["ingress", "egress"]).describe("of what the opener sends, as this host sees it");
const protocol = z.string();
const port = count.nullable().describe("destination port, or type of ICMP; null where nobody knows it");

export const rehearsalSchema = z.object({
  covers: flowListSchema.shape.covers,
  asked: z.object({ from: z.iso.datetime(), to: z.iso.datetime() }),
  hours: z.number().describe("of the time asked for, that were really recorded"),
  judged: count.describe("flows that policies were asked of, and that came to something"),
  denied: count.describe("of these, that would be dropped"),
  audited: count.describe("of these, that would be dropped if nothing were in audit"),
  attempts: z
    .object({ judged: count, denied: count })
    .describe("flows that came to nothing: scans, refused, one packet without an answer"),
  unasked: unaskedSchema,
  names: z
    .object({
      recorded: count.describe("flows to the world with the name that DNS gave them then"),
      known: count.describe("without one, to an address that a name in force has given since"),
      unknown: count.describe("without any: no rule by name selects them"),
      addresses: count.describe("that names in force have given, as this node knows now"),
    })
    .nullable()
    .describe("what rules by name were held against; null where there are none"),
  rules: z.array(z.object({ ...rule, flows: count })).describe("that would drop flows; the most first"),
  groups: z
    .array(
      z.object({
        ...rule,
        endpoint: z.string().describe("whose policy: a workload's name, or the node's"),
        direction,
        peer: z.object({ ip: z.string(), name: z.string().nullable() }),
        protocol,
        port,
        process: z.string().nullable(),
        unit: z.string().nullable(),
        container: z.string().nullable(),
        flows: count,
        example: z.object({ flow: z.string().describe("id of the newest"), start: z.iso.datetime() }),
      }),
    )
    .describe("largest first"),
  missing: count.describe("groups have at most this much too few flows: memory for them is bounded"),
  unseen: z
    .array(z.object({ name: z.string(), selected: z.boolean().describe("by one of these policies") }))
    .describe("units and containers that run now, and had no flow in the time"),
});
export type Rehearsal = z.infer<typeof rehearsalSchema>;

export const suggestQuerySchema = z.object({
  since: since.default("24h"),
  until,
  widen: z.coerce
    .number()
    .int()
    .min(8)
    .max(32)
    .default(32)
    .describe("addresses of the world become IPv4 prefixes of this length, and IPv6 ones of 64 below 32"),
  publicAddresses: z.coerce
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(32)
    .describe("a service of this host that more addresses of the world used is open to all of it"),
});
export type SuggestQuery = z.infer<typeof suggestQuerySchema>;

export const suggestionSchema = z.object({
  covers: flowListSchema.shape.covers,
  hours: z.number(),
  yaml: z.string(),
  flows: count.describe("recorded ones that it allows"),
  attempts: count.describe("flows that came to nothing, which it does not"),
  beyond: count.describe("flows that it does not allow, because they differ too much for bounded memory"),
  unasked: unaskedSchema,
  policies: z.array(
    z.object({
      name: z.string(),
      rules: z.array(
        z.object({
          path: z.string(),
          flows: count,
          last: z.iso.datetime().nullable().describe("null for what no flow used"),
        }),
      ),
    }),
  ),
});
export type SuggestionAnswer = z.infer<typeof suggestionSchema>;
