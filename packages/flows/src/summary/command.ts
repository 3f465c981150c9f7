import { buildCommand } from "@stricli/core";
import type { CliContext } from "@x0tta6bl4/core";
import { integer, text } from "../observe/flags.ts";

export interface SummaryFlags {
  readonly since: string;
  readonly until?: string;
  readonly top: number;
  readonly output: "table" | "json";
}

export const summaryCommand = buildCommand<SummaryFlags, [], CliContext>({
  docs: {
    brief: "Sum up the flows of a time: talkers, services, drops, new destinations",
    fullDescription: `Asks the agent for the largest of each kind in a stretch of time, from its history on disk: addresses, services and
processes by bytes, drops by reason, names that DNS did not answer, scans, and destinations that were not met in the
time before, which is as long and at least a day. Says which time the answer covers, and what is missing in it.`,
  },
  parameters: {
    flags: {
      since: {
        kind: "parsed",
        parse: String,
        default: "24h",
        brief: "From then on: 15m, 2h, or an ISO 8601 time",
        placeholder: "time",
      },
      until: text("Before then", "time"),
      top: {
        kind: "parsed",
        parse: (input: string) => integer("top", input, 1, 1000),
        default: "10",
        brief: "So many of each kind",
        placeholder: "count",
      },
      output: {
        kind: "enum",
        values: ["table", "json"],
        default: "table",
        brief: "json is one object on one line",
      },
    },
    aliases: { o: "output" },
  },
  loader: async () => (await import("./show.ts")).showSummary,
});
