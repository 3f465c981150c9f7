/**
 * `x0 policy check`: what is wrong with files of policies, what they select, and what is probably not intended; with
 * `--against`, also what they would have dropped.
 */
import { type CliContext, jsonLine, table } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { readCheck } from "../check.ts";
import type { PolicyConfig } from "../config.ts";
import { describeProblem, exitOf, type Problem } from "../language/problem.ts";
import type { DocumentAnswer } from "../schema.ts";
import { localWorkloads } from "../workloads/registry.ts";
import { hostAddresses, worldOf } from "../world.ts";
import type { CheckFlags } from "./command.ts";
import { readFiles } from "./files.ts";
import { selectsText } from "./list.ts";
import { printRehearsal, refusalOf, rehearsalBy } from "./rehearse.ts";

export async function check(
  this: CliContext,
  flags: CheckFlags,
  ...paths: string[]
): Promise<Error | undefined> {
  const { against, output } = flags;
  if (against === undefined && flags.alone)
    throw flowsFail("X0_FLOWS_INVALID_FILTER", "--alone is about what --against replays", {
      hint: "add --against 24h",
    });
  const config = (await this.section("policy")) as PolicyConfig;
  const files = await readFiles(this, paths);
  const world = worldOf(config, {
    addresses: hostAddresses(),
    workloads: localWorkloads(config.workloads),
    names: () => [],
  });
  const { documents, problems } = readCheck(files, config, world);
  const valid = exitOf(problems) === 0;
  if (output === "table") {
    for (const problem of problems) this.stderr.write(`${describeProblem(problem)}\n`);
    if (documents.length > 0)
      this.stdout.write(table(["NAME", "KIND", "SELECTS", "SECTIONS"], documents.map(row)));
  }
  const rehearsal =
    valid && against !== undefined ? await rehearsalBy(this, { ...flags, against }, files) : undefined;
  if (output === "json")
    this.stdout.write(
      jsonLine({ valid, documents, problems, ...(rehearsal === undefined ? {} : { rehearsal }) }),
    );
  else if (rehearsal !== undefined) printRehearsal(this, rehearsal);
  return failureOf(problems) ?? (rehearsal === undefined ? undefined : refusalOf(rehearsal));
}

function row({ name, kind, selects, sections }: Omit<DocumentAnswer, "audit" | "applied">): string[] {
  const said = sections.map(
    ({ path, rules, defaultDeny }) =>
      `${path}: ${rules} ${rules === 1 ? "rule" : "rules"}${defaultDeny ? ", denies the rest" : ""}`,
  );
  return [name, kind, selects === null ? "-" : selectsText(selects), said.join("; ")];
}

function failureOf(problems: readonly Problem[]): Error | undefined {
  const exit = exitOf(problems);
  if (exit === 0) return undefined;
  const count = problems.filter(({ severity }) => severity !== "warning").length;
  return flowsFail(
    exit === 1 ? "X0_FLOWS_POLICY_MALFORMED" : "X0_FLOWS_POLICY_UNSUPPORTED",
    `${count} ${count === 1 ? "problem" : "problems"}: nothing of this can be applied`,
  );
}
