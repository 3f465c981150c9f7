import { type CliContext, jsonLine } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import { settledSchema } from "../schema.ts";
import type { OutputFlags } from "./command.ts";

export async function confirm(this: CliContext, flags: OutputFlags): Promise<void> {
  await settle(this, flags, "confirm", "kept");
}

export async function revert(this: CliContext, flags: OutputFlags): Promise<void> {
  await settle(this, flags, "revert", "reverted");
}

async function settle(
  context: CliContext,
  { output }: OutputFlags,
  verb: "confirm" | "revert",
  word: string,
): Promise<void> {
  const settled = parsed(settledSchema, await context.agent.post(`/api/v1/policy/${verb}`, {}));
  context.stdout.write(output === "json" ? jsonLine(settled) : `${word} generation ${settled.generation}\n`);
}
