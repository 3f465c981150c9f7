import type { CliContext } from "@x0tta6bl4/core";
import { callersSession, printChange, sendChange } from "./answer.ts";
import type { OutputFlags } from "./command.ts";

export async function remove(this: CliContext, flags: OutputFlags, ...names: string[]): Promise<void> {
  printChange(this, flags.output, await sendChange(this, "delete", { names, ...callersSession(this) }));
}
