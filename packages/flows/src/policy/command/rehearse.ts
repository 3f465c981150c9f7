/** `x0 policy check FILE --against 24h`: what would have been dropped, had these been applied. */
import { type CliContext, formatCount, printable, table } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { parsed } from "../../observe/agent.ts";
import { coverText } from "../../observe/covers.ts";
import type { PolicyText } from "../documents.ts";
import { type Rehearsal, type RehearseBody, rehearsalSchema } from "../rehearse/schema.ts";

export interface RehearseFlags {
  readonly against: string;
  readonly alone: boolean;
  readonly management: boolean;
  readonly top: number;
}

export async function rehearsalBy(
  context: CliContext,
  { against, alone, management, top }: RehearseFlags,
  files: readonly PolicyText[],
): Promise<Rehearsal> {
  const body = {
    files: [...files],
    alone,
    management,
    since: against,
    until: "now",
    top,
  } satisfies RehearseBody;
  return parsed(rehearsalSchema, await context.agent.post("/api/v1/policy/rehearse", body));
}

/** What would be dropped goes to stdout, what the answer is worth to stderr. */
export function printRehearsal(context: CliContext, rehearsal: Rehearsal): void {
  context.stderr.write(aboutText(rehearsal));
  context.stdout.write(deniedText(rehearsal));
}

/** An error where connections that came to something would be dropped. */
export function refusalOf({ denied }: Rehearsal): Error | undefined {
  if (denied === 0) return undefined;
  return flowsFail(
    "X0_FLOWS_POLICY_WOULD_DENY",
    `${denied} recorded ${denied === 1 ? "connection" : "connections"} would be dropped`,
    { hint: "allow them, or apply with --audit first" },
  );
}

/** What the answer is worth: the time, and what was not met in it. */
function aboutText(rehearsal: Rehearsal): string {
  const { covers, hours, asked, judged, attempts, unasked, unseen, names } = rehearsal;
  const wanted = (Date.parse(asked.to) - Date.parse(asked.from)) / 3_600_000;
  const passing = [
    `${formatCount(unasked.loopback)} on loopback`,
    `${formatCount(unasked.forwarded)} forwarded`,
    `${formatCount(unasked.otherNamespaces)} of other namespaces`,
    `${formatCount(unasked.vital + unasked.icmpErrors)} that always pass`,
    `${formatCount(unasked.dropped)} already dropped`,
  ].filter((text) => !text.startsWith("0 "));
  const never = unseen.map(({ name, selected }) => `${name}${selected ? "" : " (not selected)"}`);
  return [
    coverText(covers),
    `${hoursText(hours)} of ${hoursText(wanted)} were recorded: ${formatCount(judged)} flows judged, ${formatCount(attempts.judged)} more came to nothing, of which ${formatCount(attempts.denied)} would be dropped\n`,
    passing.length === 0 ? "" : `not judged: ${passing.join(", ")}\n`,
    names === null ? "" : namesText(names),
    never.length === 0 ? "" : `never seen in this time: ${never.map(printable).join(", ")}\n`,
  ].join("");
}

/** What rules by name were held against. */
function namesText({ recorded, known, unknown, addresses }: NonNullable<Rehearsal["names"]>): string {
  if (recorded + known + unknown === 0) return "names: no flow went to the world\n";
  const parts = [
    `${formatCount(recorded)} recorded with theirs`,
    `${formatCount(known)} named since (${formatCount(addresses)} addresses are known)`,
    `${formatCount(unknown)} without one, which no rule by name selects`,
  ];
  return `names: of flows to the world ${parts.join(", ")}\n`;
}

/** `24 h`, `1.5 h`, `12 min`. */
export function hoursText(hours: number): string {
  if (hours < 1 / 60) return `${Math.round(3600 * hours)} s`;
  return hours < 1 ? `${Math.round(60 * hours)} min` : `${Number(hours.toFixed(1))} h`;
}

function deniedText({ denied, audited, judged, rules, groups, missing }: Rehearsal): string {
  if (rules.length === 0) return `none of ${formatCount(judged)} flows would be dropped\n`;
  const audit = audited === 0 ? "" : `, ${formatCount(audited)} more by what is in audit`;
  const bounded = missing === 0 ? "" : `; each may have up to ${formatCount(missing)} more`;
  return [
    `${formatCount(denied)} of ${formatCount(judged)} flows would be dropped${audit}\n\n`,
    table(
      ["FLOWS", "POLICY", "RULE", "DECISION"],
      rules.map(({ flows, policy, path, decision }) => [formatCount(flows), policy, path, decision]),
    ),
    "\n",
    table(
      ["FLOWS", "DIRECTION", "PEER", "SERVICE", "PROCESS", "RULE", "NEWEST"],
      groups.map((group) => [
        formatCount(group.flows),
        group.direction,
        group.peer.name ?? group.peer.ip,
        `${group.protocol}${group.port === null ? "" : `/${group.port}`}`,
        [group.process, group.unit, group.container?.slice(0, 12)].filter((part) => part != null).join(" "),
        `${group.policy} ${group.path}`,
        group.example.start.slice(0, 19).replace("T", " "),
      ]),
    ),
    bounded === "" ? "" : `these are the largest${bounded}\n`,
  ].join("");
}
