import { type CliContext, jsonLine, printable, table } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import { type DocumentAnswer, listSchema, type StateAnswer } from "../schema.ts";
import type { OutputFlags } from "./command.ts";

export async function list(this: CliContext, flags: OutputFlags): Promise<void> {
  const answer = parsed(listSchema, await this.agent.get("/api/v1/policy"));
  if (flags.output === "json") {
    this.stdout.write(jsonLine(answer));
    return;
  }
  this.stderr.write(`${stateText(answer.state)}\n`);
  if (answer.documents.length > 0)
    this.stdout.write(
      table(["NAME", "KIND", "MODE", "SELECTS", "RULES", "APPLIED"], answer.documents.map(row)),
    );
}

function row(document: DocumentAnswer): string[] {
  const { name, kind, audit, selects, sections, applied } = document;
  const rules = sections.reduce((sum, section) => sum + section.rules, 0);
  return [
    name,
    kind,
    audit ? "audit" : "enforce",
    selects === null ? "-" : selectsText(selects),
    sections.length === 0 ? "-" : `${rules} (${directions(sections)})`,
    applied.slice(0, 19).replace("T", " "),
  ];
}

function directions(sections: DocumentAnswer["sections"]): string {
  return [...new Set(sections.map(({ direction }) => direction))].join(", ");
}

/** `this node, 2 others, 3 workloads`. */
export function selectsText({ thisNode, nodes, workloads }: NonNullable<DocumentAnswer["selects"]>): string {
  const others = nodes.length - (thisNode ? 1 : 0);
  const parts = [
    ...(thisNode ? ["this node"] : []),
    ...(others === 0 ? [] : [`${others} other ${others === 1 ? "node" : "nodes"}`]),
    ...(workloads.length === 0
      ? []
      : [`${workloads.length} ${workloads.length === 1 ? "workload" : "workloads"}`]),
  ];
  return parts.length === 0 ? "nobody" : parts.join(", ");
}

export function stateText({ enforced, reason, generation, waiting, counts }: StateAnswer): string {
  if (generation === null || (counts.documents === 0 && waiting === null))
    return reason === null ? "no policy is applied" : `not enforced: ${printable(reason)}`;
  if (waiting !== null)
    return `generation ${generation} is in force; it falls back in ${Math.ceil(waiting.secondsLeft)} s unless confirmed: x0 policy confirm`;
  return enforced
    ? `generation ${generation} is in force`
    : `generation ${generation} is stored, not in force: ${printable(reason ?? "it has not been put there yet")}`;
}
