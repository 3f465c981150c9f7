/** The verbs of `x0 policy`. What they need is loaded when they run. */
import { buildCommand } from "@stricli/core";
import { type CliContext, parseDuration } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { text } from "../../observe/flags.ts";

export interface OutputFlags {
  readonly output: "table" | "json";
}

export interface ApplyFlags extends OutputFlags {
  readonly audit: boolean;
  readonly confirmWithin?: number;
  readonly management: boolean;
  readonly pin: boolean;
}

export interface ResetFlags extends OutputFlags {
  readonly yes: boolean;
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

const audit = buildCommand<OutputFlags, [], CliContext>({
  docs: { brief: "Show what policies in audit would have denied since the agent's start" },
  parameters: plain,
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

const check = buildCommand<OutputFlags, string[], CliContext>({
  docs: {
    brief: "Say whether files of policies hold, and what they select here",
    fullDescription: `Needs no agent and no privilege. Selectors are held against this node and policy.members of the configuration.
Exit 1 for what Cilium would not take either, 3 for what it knows and x0 does not enforce; warnings are exit 0.`,
  },
  parameters: { positional: files, ...plain },
  loader: async () => (await import("./check.ts")).check,
});

export const policyCommands = { apply, audit, check, confirm, delete: remove, list, reset, revert, show };

function deadline(input: string): number {
  const milliseconds = parseDuration(input);
  if (milliseconds >= 1000 && milliseconds <= 86_400_000) return milliseconds;
  throw flowsFail("X0_FLOWS_INVALID_FILTER", `confirm-within cannot be "${input}"`, {
    hint: "write a time from 1s to 24h",
  });
}
