import type { CliContext } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { parsed } from "../../observe/agent.ts";
import { type ApplyBody, settledSchema } from "../schema.ts";
import { callersSession, printChange, sendChange } from "./answer.ts";
import type { ApplyFlags } from "./command.ts";
import { readFiles } from "./files.ts";
import { ask, isYes } from "./question.ts";

export async function apply(this: CliContext, flags: ApplyFlags, ...paths: string[]): Promise<void> {
  const { audit, management, pin, confirmWithin, output } = flags;
  const files = await readFiles(this, paths);
  const change = await sendChange(this, "apply", {
    files,
    audit,
    management,
    pin,
    ...(confirmWithin === undefined ? {} : { confirmWithinSeconds: confirmWithin / 1000 }),
    ...callersSession(this),
  } satisfies ApplyBody);
  printChange(this, output, change);
  if (confirmWithin === undefined) return;
  const seconds = confirmWithin / 1000;
  if (this.stdin.isTTY === true && !paths.includes("-")) await settle(this, seconds);
  else
    this.stderr.write(
      `falls back in ${seconds} s unless confirmed: x0 policy confirm (x0 policy revert ends it now)\n`,
    );
}

/** An answer that does not come through is none: then the kernel falls back. */
async function settle(context: CliContext, seconds: number): Promise<void> {
  const over = AbortSignal.timeout(seconds * 1000);
  const answer = await ask(context, `Keep this? It falls back in ${seconds} s. [y/N] `, over);
  if (isYes(answer)) {
    parsed(settledSchema, await context.agent.post("/api/v1/policy/confirm", {}));
    context.stderr.write("kept\n");
    return;
  }
  if (!over.aborted) await context.agent.post("/api/v1/policy/revert", {});
  throw flowsFail("X0_FLOWS_POLICY_FELL_BACK", "not confirmed: what held before holds again", {
    hint: "x0 policy list shows it",
  });
}
