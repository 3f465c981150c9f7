/** Answers from the live table. */
import type { FlowList, FlowQuery } from "../flow.ts";
import type { Names } from "./describe.ts";
import type { Joins } from "./joins.ts";
import { compileQuery, parseCursor } from "./query.ts";
import { type FlowTable, u64, word } from "./table.ts";
import type { FlowView } from "./view.ts";

export interface ListingSources {
  readonly table: FlowTable;
  readonly joins: Joins;
  readonly view: FlowView;
  readonly names: Names;
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function listFlows(
  { table, joins, view, names }: ListingSources,
  query: FlowQuery,
  nowMs: number,
): Pick<FlowList, "flows" | "next"> {
  const matches = compileQuery(query, nowMs, names);
  const after = query.after === undefined ? undefined : parseCursor(query.after);
  const limit = Math.min(query.limit, query.last ?? query.limit);
  const slots: number[] = [];
  let next: string | null = null;
  let cursorOfLast: string | null = null;
  for (const slot of table.newestFirst()) {
    if (joins.isHidden(slot)) continue;
    const raw = view.raw(slot);
    const firstNs = u64(raw.words, raw.flow + word.firstNs);
    const id = u64(raw.words, raw.flow + word.id);
    if (after !== undefined && (firstNs > after.firstNs || (firstNs === after.firstNs && id >= after.id)))
      continue;
    if (!matches(slot, raw, view.flow)) continue;
    if (slots.length === limit) {
      // `last` is all that was asked for.
      if (query.last !== limit) next = cursorOfLast;
      break;
    }
    slots.push(slot);
    cursorOfLast = `${firstNs}-${id}`;
  }
  return { flows: view.flows(slots), next };
}
