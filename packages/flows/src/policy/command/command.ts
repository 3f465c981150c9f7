/** The verbs of `x0 policy`. What they need is loaded when they run. */
import { buildCommand } from "@stricli/core";
import { type CliContext, parseDuration } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { integer, text } from "../../observe/flags.ts";
import type { SuggestFlags } from "./suggest.ts";

export interface OutputFlags {
  readonly output: "table" | "json";
}

export interface ApplyFlags extends OutputFlags {
  readonly audit: boolean;
  readonly confirmWithin?: number;
  readonly management: boolean;
  readonly pin: boolean;
}

export interface CheckFlags extends OutputFlags {
  readonly against?: string;
  readonly alone: boolean;
  readonly management: boolean;
  readonly top: number;
}

export interface ResetFlags extends OutputFlags {
  readonly yes: boolean;
}

export interface AuditFlags extends OutputFlags {
  readonly since: string;
}

export interface ShowFlags extends OutputFlags {
  readonly kind?: string;
}

const output = {
  kind: "enum",
  values: ["table", "json"],
  default: "table",
  brief: "json is one object on one line",
} as const;

const plain = { flags: { output }, aliases: { o: "output" } } as const;

const no = (brief: string) => ({ kind: "boolean", default: false, withNegated: false, brief }) as const;

const files = {
  kind: "array",
  minimum: 1,
  parameter: { parse: String, brief: "YAML of policies; - is standard input", placeholder: "file" },
} as const;

const apply = buildCommand<ApplyFlags, string[], CliContext>({
  docs: {
    brief: "Put policies in force beside those that are, all or nothing",
    fullDescription: `Reads CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy and CiliumCIDRGroup documents and hands them to the agent.
Each replaces the one of its kind and name; the others stay. Loopback, the SSH session that applies and the ports of
policy.management_ports stay reachable unless --no-management is given. With --confirm-within the kernel goes back to
what held before, by itself, unless you confirm: on a terminal you are asked, else x0 policy confirm does.
--management and --pin are of all policies together, as the last apply says.`,
  },
  parameters: {
    positional: files,
    flags: {
      audit: no("Tell what would be denied, and deny nothing"),
      confirmWithin: {
        kind: "parsed",
        parse: deadline,
        optional: true,
        brief: "Fall back unless confirmed within this time: 60s, 5m",
        placeholder: "time",
      },
      management: {
        kind: "boolean",
        default: true,
        brief: "Keep loopback and the management ports reachable whatever the policies say",
      },
      pin: no("Keep enforcing when the agent dies"),
      output,
    },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./apply.ts")).apply,
});

const confirm = buildCommand<OutputFlags, [], CliContext>({
  docs: { brief: "Keep what was applied with --confirm-within" },
  parameters: plain,
  loader: async () => (await import("./settle.ts")).confirm,
});

const revert = buildCommand<OutputFlags, [], CliContext>({
  docs: { brief: "End what was applied with --confirm-within now" },
  parameters: plain,
  loader: async () => (await import("./settle.ts")).revert,
});

const list = buildCommand<OutputFlags, [], CliContext>({
  docs: { brief: "Show what is applied, what it selects, and whether it is in force" },
  parameters: plain,
  loader: async () => (await import("./list.ts")).list,
});

const show = buildCommand<ShowFlags, [string], CliContext>({
  docs: { brief: "Show one document: its text, what it selects, what its rules decided" },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [{ parse: String, brief: "namespace/name, or name", placeholder: "name" }],
    },
    flags: { kind: text("Where several kinds have a document of this name", "kind"), output },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./show.ts")).show,
});

const remove = buildCommand<OutputFlags, string[], CliContext>({
  docs: { brief: "Take documents out of force, all or none" },
  parameters: {
    positional: {
      kind: "array",
      minimum: 1,
      parameter: { parse: String, brief: "namespace/name, or name", placeholder: "name" },
    },
    ...plain,
  },
  loader: async () => (await import("./delete.ts")).remove,
});

const audit = buildCommand<AuditFlags, [], CliContext>({
  docs: {
    brief: "Show what policies in audit would have denied",
    fullDescription:
      "What each rule of a policy in audit would have denied since the agent's start, and the connections, from the flows that are in memory and on disk.",
  },
  parameters: {
    flags: {
      since: {
        kind: "parsed",
        parse: String,
        default: "24h",
        brief: "Connections from then on: 15m, 2h, or an ISO 8601 time",
        placeholder: "time",
      },
      output,
    },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./audit.ts")).audit,
});

const reset = buildCommand<ResetFlags, [], CliContext>({
  docs: {
    brief: "End all policy, whatever state the agent is in",
    fullDescription: `Takes everything out of force and out of the store: through the agent, or without one, also what --pin left in
the kernel. Asks first, unless --yes is given.`,
  },
  parameters: { flags: { yes: no("Do not ask"), output }, aliases: { o: "output", y: "yes" } },
  loader: async () => (await import("./reset.ts")).reset,
});

const count = (name: string, brief: string, fallback: string, least: number, most: number) =>
  ({
    kind: "parsed",
    parse: (input: string) => integer(name, input, least, most),
    default: fallback,
    brief,
    placeholder: "count",
  }) as const;

const check = buildCommand<CheckFlags, string[], CliContext>({
  docs: {
    brief: "Say whether files of policies hold, what they select, and what they would drop",
    fullDescription: `Needs no agent and no privilege. Selectors are held against this node and policy.members of the configuration.
Exit 1 for what Cilium would not take either, 3 for what it knows and x0 does not enforce; warnings are exit 0.
--against asks the agent which connections of its history would be dropped if the files were applied beside what is in
force: by which rule, of which process. It says which hours were really recorded, and which workloads that run now had
no flow in them. Exit 1 where a connection that worked would be dropped; scans, refused connections and single packets
that nothing answered are counted, and are no failure.`,
  },
  parameters: {
    positional: files,
    flags: {
      against: text("Replay the flows recorded since then: 24h, 7d, or an ISO 8601 time", "time"),
      alone: no("With --against: leave out what is in force"),
      management: {
        kind: "boolean",
        default: true,
        brief: "With --against: management ports stay reachable, as apply has it",
      },
      top: count("top", "With --against: show so many groups", "20", 1, 4096),
      output,
    },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./check.ts")).check,
});

const suggest = buildCommand<SuggestFlags, [], CliContext>({
  docs: {
    brief: "Write policies that allow what was recorded, and nothing else",
    fullDescription: `Writes YAML from the agent's history: one document for this node, one for each service and container with flows. Each
rule carries how many flows it allows and when the last one was. Checked against the same history, nothing is dropped.
Peers are members by a label that only they share, else by name; names that DNS gave; else addresses, put together only
where every address of a prefix was met, unless --widen says otherwise. Left out, and said so, are scans, refused
connections and single packets that nothing answered.`,
  },
  parameters: {
    flags: {
      from: { kind: "parsed", parse: String, default: "24h", brief: "Flows since then", placeholder: "time" },
      until: { kind: "parsed", parse: String, default: "now", brief: "Before then", placeholder: "time" },
      widen: count("widen", "Make of addresses IPv4 prefixes of this length; IPv6: 64 below 32", "32", 8, 32),
      public: count(
        "public",
        "Open a service of this host to the world when more addresses than these used it",
        "32",
        1,
        10_000,
      ),
      output: { ...output, brief: "table is YAML; json is one object on one line" },
    },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./suggest.ts")).suggest,
});

export const policyCommands = {
  apply,
  audit,
  check,
  confirm,
  delete: remove,
  list,
  reset,
  revert,
  show,
  suggest,
};

function deadline(input: string): number {
  const milliseconds = parseDuration(input);
  if (milliseconds >= 1000 && milliseconds <= 86_400_000) return milliseconds;
  throw flowsFail("X0_FLOWS_INVALID_FILTER", `confirm-within cannot be "${input}"`, {
    hint: "write a time from 1s to 24h",
  });
}
