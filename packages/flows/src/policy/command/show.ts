import { type CliContext, jsonLine, printable, table } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import {
  type AdmittedAnswer,
  type RuleFiguresAnswer,
  type WholeDocument,
  wholeDocumentSchema,
} from "../schema.ts";
import type { ShowFlags } from "./command.ts";
import { selectsText } from "./list.ts";

export async function show(this: CliContext, flags: ShowFlags, name: string): Promise<void> {
  const { kind, output } = flags;
  const query = { name, ...(kind === undefined ? {} : { kind }) };
  const document = parsed(wholeDocumentSchema, await this.agent.get("/api/v1/policy/document", query));
  if (output === "json") {
    this.stdout.write(jsonLine(document));
    return;
  }
  // The text goes out as it was applied, so that it can be edited and applied again.
  this.stderr.write(headText(document));
  const isTerminal = this.stdout.isTTY === true;
  const text = isTerminal ? document.text.split("\n").map(printable).join("\n") : document.text;
  this.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
  if (document.figures.length > 0) this.stderr.write(figuresTable(document.figures));
  if (document.admitted.length > 0) this.stderr.write(admittedTable(document.admitted));
}

function headText({ kind, name, audit, selects, applied }: WholeDocument): string {
  const mode = audit ? "in audit" : "enforced";
  const selected = selects === null ? "" : `, selects ${selectsText(selects)}`;
  return printable(`${kind} ${name}: ${mode}${selected}, applied ${applied}`).concat("\n");
}

function admittedTable(admitted: readonly AdmittedAnswer[]): string {
  return table(
    ["NAME", "ADDRESS", "ADMITTED UNTIL"],
    admitted.map(({ name, address, until }) => [name, address, until]),
  );
}

export function figuresTable(figures: readonly RuleFiguresAnswer[], withPolicy = false): string {
  return table(
    [...(withPolicy ? ["POLICY"] : []), "RULE", "DECISION", "FLOWS", "PACKETS", "BYTES"],
    figures.map(({ policy, path, decision, flows, packets, bytes }) => [
      ...(withPolicy ? [policy] : []),
      path,
      decision,
      ...[flows, packets, bytes].map(String),
    ]),
  );
}
