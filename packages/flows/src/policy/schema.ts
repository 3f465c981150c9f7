/** What the API says of policies. */
import { z } from "zod";

const end = z.object({ ip: z.string().max(64), port: z.number().int().min(1).max(65_535) });

/** The most that one apply sends: what the language reads of one file, of several files. */
export const APPLY_BYTES = 16 * 1024 * 1024;

export const applySchema = z.strictObject({
  files: z
    .array(z.object({ name: z.string().max(4096), text: z.string() }))
    .min(1)
    .max(1024)
    .describe("YAML documents; each replaces the one of its kind and name"),
  audit: z.boolean().default(false).describe("tell what would be denied, and deny nothing"),
  management: z
    .boolean()
    .default(true)
    .describe("keep loopback and policy.management_ports reachable whatever the policies say"),
  pin: z.boolean().default(false).describe("keep enforcing when the agent dies"),
  confirmWithinSeconds: z
    .number()
    .min(1)
    .max(86_400)
    .optional()
    .describe("falls back by itself unless it is confirmed in time"),
  session: z
    .strictObject({ source: end, destination: end })
    .optional()
    .describe("the TCP connection over which somebody applies this: it stays whatever the policies say"),
});
export type ApplyBody = z.infer<typeof applySchema>;

export const deleteSchema = z.strictObject({
  names: z.array(z.string().max(512)).min(1).max(16_384),
  session: applySchema.shape.session,
});

export const changeSchema = z.object({
  generation: z.number().int(),
  added: z.array(z.string()).describe("names of documents"),
  changed: z.array(z.string()),
  unchanged: z.array(z.string()),
  removed: z.array(z.string()),
  waiting: z.boolean().describe("whether it falls back unless it is confirmed"),
  warnings: z
    .array(z.string())
    .describe("what is valid but probably not intended, of the policies that were given"),
});
export type ChangeAnswer = z.infer<typeof changeSchema>;

export const settledSchema = z.object({ generation: z.number().int() });

const ruleFiguresSchema = z.object({
  id: z.number().int().describe("what verdicts carry"),
  policy: z.string().describe("empty for management and sessions"),
  path: z.string().describe("where the rule stands: spec.ingress[0]; spec.ingress is its default deny"),
  decision: z.enum(["allow", "audit", "deny"]),
  flows: z.number().int(),
  packets: z.number().int(),
  bytes: z.number().int(),
});
export type RuleFiguresAnswer = z.infer<typeof ruleFiguresSchema>;

export const figuresSchema = z.object({ rules: z.array(ruleFiguresSchema) });

export const stateSchema = z.object({
  enforced: z.boolean(),
  reason: z.string().nullable().describe("why policies are not enforced"),
  hint: z.string().nullable(),
  node: z.object({
    name: z.string(),
    labels: z.record(z.string(), z.string()),
    addresses: z.array(z.string()),
  }),
  generation: z.number().int().nullable().describe("null where nothing was ever applied"),
  applied: z.iso.datetime().nullable(),
  management: z.boolean(),
  pin: z.boolean(),
  waiting: z
    .object({
      generation: z.number().int(),
      secondsLeft: z.number().describe("until it falls back"),
      applied: z.iso.datetime(),
      documents: z.array(z.string()),
    })
    .nullable()
    .describe("what is in force now and has to be confirmed"),
  counts: z.object({
    documents: z.number().int(),
    audit: z.number().int(),
    rules: z.number().int(),
    entries: z.number().int().describe("of the kernel's table"),
    connections: z.number().int().nullable().describe("allowed ones that the kernel remembers"),
    verdicts: z.number().int().nullable().describe("since the agent's start"),
    unremembered: z.number().int().nullable().describe("allowed connections without room"),
    related: z.number().int().nullable().describe("ICMP errors that passed for a connection's sake"),
  }),
});
export type StateAnswer = z.infer<typeof stateSchema>;

const sectionSchema = z.object({
  path: z.string(),
  direction: z.enum(["ingress", "egress"]),
  rules: z.number().int(),
  defaultDeny: z.boolean(),
});

const documentSchema = z.object({
  kind: z.string(),
  name: z.string(),
  audit: z.boolean(),
  applied: z.iso.datetime(),
  description: z.string().nullable(),
  selects: z
    .object({
      thisNode: z.boolean(),
      nodes: z.array(z.string()).describe("of this node and policy.members"),
      workloads: z.array(z.string()),
    })
    .nullable()
    .describe("null for what selects nobody by its kind"),
  sections: z.array(sectionSchema),
});
export type DocumentAnswer = z.infer<typeof documentSchema>;

export const listSchema = z.object({ state: stateSchema, documents: z.array(documentSchema) });
export type ListAnswer = z.infer<typeof listSchema>;

export const documentQuerySchema = z.object({
  name: z.string().describe("namespace/name, or name of what is clusterwide"),
  kind: z.string().optional().describe("where several kinds have a document of this name"),
});

const admittedSchema = z.object({
  kind: z.enum(["name", "pattern"]),
  name: z.string().describe("matchName or matchPattern"),
  address: z.string().describe("that an answer gave for it"),
  until: z.iso.datetime().describe("connections that are open then keep it longer"),
});
export type AdmittedAnswer = z.infer<typeof admittedSchema>;

export const namesSchema = z.object({
  admitted: z.array(admittedSchema),
  figures: z
    .object({
      queries: z.number().int().describe("for selected names, to resolvers"),
      answers: z.number().int().describe("to these"),
      admitted: z.number().int().describe("addresses, each time that one was"),
      strangers: z.number().int().describe("queries for selected names to others than policy.resolvers"),
      unasked: z.number().int().describe("answers for selected names that belong to no query"),
      malformed: z.number().int().describe("answers that cannot be read to their end"),
      full: z.number().int().describe("addresses without room, or with too many names"),
      addresses: z.number().int().describe("that are admitted"),
      encrypted: z.number().int().describe("open connections to resolvers over TLS or HTTPS"),
    })
    .nullable()
    .describe("since the agent's start; null where nothing is enforced"),
});

export const wholeDocumentSchema = documentSchema.extend({
  text: z.string(),
  figures: z.array(ruleFiguresSchema),
  admitted: z.array(admittedSchema).describe("addresses by the names that it selects"),
});
export type WholeDocument = z.infer<typeof wholeDocumentSchema>;

export const generationsSchema = z.object({
  generations: z
    .array(
      z.object({
        generation: z.number().int(),
        state: z.enum(["prepared", "unconfirmed", "confirmed", "reverted"]),
        applied: z.iso.datetime(),
        settled: z.iso.datetime().nullable().describe("when it was confirmed or reverted"),
      }),
    )
    .describe("newest first"),
});

export const warningsSchema = z.object({
  warnings: z
    .array(
      z.object({ policy: z.string(), path: z.string(), message: z.string(), hint: z.string().optional() }),
    )
    .describe("what is valid but probably not intended, of all that is applied"),
});

export const checkSchema = applySchema.pick({ files: true });

export const checkedSchema = z.object({
  valid: z.boolean().describe("whether it can be applied"),
  documents: z
    .array(documentSchema.omit({ audit: true, applied: true }))
    .describe("none where something is wrong"),
  problems: z.array(
    z.object({
      severity: z.enum(["malformed", "unsupported", "warning"]),
      file: z.string(),
      document: z.number().int().describe("from 1; 0 where the whole file is meant"),
      line: z.number().int(),
      column: z.number().int(),
      path: z.string(),
      message: z.string(),
      hint: z.string().optional(),
    }),
  ),
});
export type CheckedAnswer = z.infer<typeof checkedSchema>;

export const matrixQuerySchema = z.object({
  direction: z.enum(["ingress", "egress"]).default("ingress"),
  endpoint: z.string().optional().describe("a workload of this host by its name; else the node"),
});

export const matrixSchema = z.object({
  direction: z.enum(["ingress", "egress"]),
  endpoint: z.string(),
  endpoints: z.array(z.string()).describe("this node, then the workloads that run on it"),
  matrix: z
    .object({
      peers: z.array(
        z.object({
          kind: z.enum(["host", "workload", "member", "range", "name", "world"]),
          name: z.string(),
          prefixes: z
            .array(z.string())
            .describe(
              "less those of rows with longer ones; of a name the addresses that it has given so far",
            ),
        }),
      ),
      ports: z.array(
        z.object({
          protocol: z.enum(["icmp", "tcp", "udp", "icmpv6", "sctp"]).nullable(),
          first: z.number().int().describe("of ICMP: types of messages"),
          last: z.number().int(),
          isRest: z.boolean().describe("all that no other column holds"),
        }),
      ),
      verdicts: z.array(ruleFiguresSchema.pick({ id: true, policy: true, path: true, decision: true })),
      cells: z.array(z.array(z.number().int())).describe("by peer, then by port: which of the verdicts"),
      leftOut: z.object({ peers: z.number().int(), ports: z.number().int() }),
    })
    .nullable()
    .describe("null where no policy speaks of the endpoint in this direction: all passes"),
});
export type MatrixAnswer = z.infer<typeof matrixSchema>;
