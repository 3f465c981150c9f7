/** `x0 policy suggest`: the YAML goes to stdout, what it is worth to stderr. */
import { once } from "node:events";
import { type CliContext, formatCount, jsonLine } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import { coverText } from "../../observe/covers.ts";
import { suggestionSchema } from "../rehearse/schema.ts";
import { hoursText } from "./rehearse.ts";

export interface SuggestFlags {
  readonly from: string;
  readonly until: string;
  readonly widen: number;
  readonly public: number;
  readonly output: "table" | "json";
}

export async function suggest(this: CliContext, flags: SuggestFlags): Promise<void> {
  const answer = await this.agent.get("/api/v1/policy/suggest", {
    since: flags.from,
    until: flags.until,
    widen: String(flags.widen),
    publicAddresses: String(flags.public),
  });
  const suggestion = parsed(suggestionSchema, answer);
  const { covers, hours, flows, attempts, beyond, policies, yaml } = suggestion;
  if (flags.output === "table") {
    const rules = policies.reduce((sum, policy) => sum + policy.rules.length, 0);
    this.stderr.write(
      `${coverText(covers)}${hoursText(hours)} were recorded: ${rules} rules allow ${formatCount(flows - beyond)} of ${formatCount(flows)} flows; ${formatCount(attempts)} that came to nothing are left out\n`,
    );
  }
  const text = flags.output === "json" ? jsonLine(suggestion) : yaml;
  if (!this.stdout.write(text)) await once(this.stdout, "drain", { signal: this.signal });
}
