import { once } from "node:events";
import { type CliContext, jsonLine } from "@x0tta6bl4/core";
import type { FlowChange } from "../flow.ts";
import { createTable } from "./table.ts";

/** Where flows go: rows at once, or changes one by one. */
export type Print = (changes: readonly FlowChange[]) => Promise<void>;

export interface PrintOptions {
  readonly output: "table" | "json";
  readonly follow: boolean;
  readonly numeric: boolean;
  readonly nowMs: number;
}

export function printTo(context: CliContext, { output, follow, numeric, nowMs }: PrintOptions): Print {
  const { stdout, signal } = context;
  const table = createTable({
    terminalColumns: stdout.isTTY === true ? stdout.columns : undefined,
    color: context.color,
    streaming: follow,
    numeric,
    nowMs,
  });
  return async (changes) => {
    const text =
      output === "table"
        ? table.render(changes)
        : changes.map((change) => jsonLine(follow ? change : change.flow)).join("");
    if (text !== "" && !stdout.write(text)) await once(stdout, "drain", { signal });
  };
}
