import { once } from "node:events";
import type { CliContext } from "@x0tta6bl4/core";
import type { FlowChange } from "../flow.ts";
import { createTable } from "./table.ts";

/** Where flows go: rows at once, or changes one by one. */
export type Print = (changes: readonly FlowChange[]) => Promise<void>;

export interface PrintOptions {
  readonly output: "table" | "json";
  readonly follow: boolean;
  readonly nowMs: number;
}

export function printTo(context: CliContext, { output, follow, nowMs }: PrintOptions): Print {
  const { stdout, signal } = context;
  const table = createTable({
    terminalColumns: stdout.isTTY === true ? stdout.columns : undefined,
    color: context.color,
    streaming: follow,
    nowMs,
  });
  return async (changes) => {
    const text =
      output === "table"
        ? table.render(changes)
        : changes.map((change) => `${JSON.stringify(follow ? change : change.flow)}\n`).join("");
    if (text !== "" && !stdout.write(text)) await once(stdout, "drain", { signal });
  };
}
