import { type CliContext, jsonLine, printable } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import { type ApplyBody, type ChangeAnswer, changeSchema } from "../schema.ts";
import { sshSession } from "../session.ts";

/** The connection over which this command is given, as the API takes it. */
export function callersSession(context: CliContext): Pick<ApplyBody, "session"> {
  const session = sshSession(context.env);
  if (session === undefined) return {};
  return { session: { source: session.source, destination: session.destination } };
}

/** Sends a change of what is applied. @throws what the agent refuses */
export async function sendChange(context: CliContext, verb: string, body: unknown): Promise<ChangeAnswer> {
  return parsed(changeSchema, await context.agent.post(`/api/v1/policy/${verb}`, body));
}

export function printChange(context: CliContext, output: "table" | "json", change: ChangeAnswer): void {
  if (output === "table")
    for (const warning of change.warnings) context.stderr.write(`warning: ${printable(warning)}\n`);
  context.stdout.write(output === "json" ? jsonLine(change) : changeText(change));
}

function changeText({ generation, added, changed, removed, unchanged }: ChangeAnswer): string {
  const lines = [
    ...added.map((name) => `added      ${name}`),
    ...changed.map((name) => `changed    ${name}`),
    ...removed.map((name) => `removed    ${name}`),
  ].map(printable);
  const rest = unchanged.length === 0 ? "" : `, ${unchanged.length} unchanged`;
  return `${[...lines, `generation ${generation}${rest}`].join("\n")}\n`;
}
