import { buildCommand } from "@stricli/core";
import type { CliContext } from "@x0tta6bl4/core";
import { captureCommand } from "../packets/command.ts";
import { summaryCommand } from "../summary/command.ts";
import { verdicts } from "../verdicts.ts";
import { flowFilterFlags, integer, text } from "./flags.ts";

export interface ObserveFlags {
  readonly follow: boolean;
  readonly protocol?: string;
  readonly ip?: string;
  readonly port?: number;
  readonly process?: string;
  readonly name?: string;
  readonly unit?: string;
  readonly container?: string;
  readonly dropped?: "true" | "false";
  readonly verdict?: (typeof verdicts)[number];
  readonly numeric: boolean;
  readonly last?: number;
  readonly since?: string;
  readonly until?: string;
  readonly replay?: string;
  readonly output: "table" | "json";
}

/** The most flows that `--last` gives, as in `GET /api/v1/flows`. */
export const mostFlows = 100_000;

const observe = buildCommand<ObserveFlags, [], CliContext>({
  docs: {
    brief: "Show the flows of this host, or of a capture file",
    fullDescription: `Shows connections, oldest first: who opened them to whom, with the processes, bytes and packets both ways.
Without --last, --since, --until or --follow it shows the last 20 that match. With --replay it shows the flows of a
capture, all of them unless limited, without an agent and without privilege. Durations count back from now; a stretch
of time is answered from memory and from the history on disk, and what it covers is said on stderr.
TCP flags are F(IN) S(YN) R(ST) P(SH) A(CK) U(RG) E(CE) C(WR).`,
  },
  parameters: {
    flags: {
      follow: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Show flows as they start and end",
      },
      ...flowFilterFlags,
      name: text("Only with this DNS name on either side: db.example.com or *.example.com", "name"),
      unit: text("Only of this systemd unit", "name"),
      container: text("Only of this container: the beginning of its id", "id"),
      dropped: {
        kind: "enum",
        values: ["true", "false"],
        optional: true,
        brief: "Only with packets that the kernel dropped, or only without",
      },
      verdict: {
        kind: "enum",
        values: verdicts,
        optional: true,
        brief: "Only what policy denied, would deny, or let pass",
      },
      numeric: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Show addresses also where a name is known",
      },
      last: {
        kind: "parsed",
        parse: (input: string) => integer("last", input, 1, mostFlows),
        optional: true,
        brief: "Only the newest so many",
        placeholder: "count",
      },
      since: text("Only with a packet since then: 15m, 2h, or an ISO 8601 time", "time"),
      until: text("Only if begun before then", "time"),
      replay: text("Read this pcap or pcapng file instead of asking the agent; - is standard input", "file"),
      output: {
        kind: "enum",
        values: ["table", "json"],
        default: "table",
        brief: "json is one flow on one line; with --follow one change on one line",
      },
    },
    aliases: { f: "follow", n: "numeric", o: "output" },
  },
  loader: async () => (await import("./observe.ts")).observe,
});

/** The verbs of `x0 flows`. */
export const flowsCommands = { capture: captureCommand, observe, summary: summaryCommand };
