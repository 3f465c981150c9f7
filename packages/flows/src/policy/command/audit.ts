import { type CliContext, jsonLine } from "@x0tta6bl4/core";
import { parsed } from "../../observe/agent.ts";
import { figuresSchema } from "../schema.ts";
import type { OutputFlags } from "./command.ts";
import { figuresTable } from "./show.ts";

/** What each rule of a policy in audit would have denied since the agent's start. */
export async function audit(this: CliContext, { output }: OutputFlags): Promise<void> {
  const { rules } = parsed(figuresSchema, await this.agent.get("/api/v1/policy/figures"));
  const told = rules.filter(({ decision }) => decision === "audit");
  if (output === "json") this.stdout.write(jsonLine({ rules: told }));
  else if (told.length === 0) this.stderr.write("policies in audit would have denied nothing so far\n");
  else this.stdout.write(figuresTable(told, true));
}
