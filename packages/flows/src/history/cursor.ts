/**
 * The order of flows in answers, and a place in it. Flows that begin later come before, so a page that follows a
 * place is the same whatever comes meanwhile, and after a restart.
 */
import { flowsFail } from "../errors.ts";
import type { Flow } from "../flow.ts";
import { parseQualified } from "./rows.ts";

export interface Cursor {
  readonly startMs: number;
  readonly run: number;
  readonly id: number;
}

/** Negative where `a` comes first: the newer one. */
export function compareCursors(a: Cursor, b: Cursor): number {
  return b.startMs - a.startMs || b.run - a.run || b.id - a.id;
}

export function cursorOf(flow: Flow): Cursor {
  const { run, id } = parseQualified(flow.id) ?? { run: 0, id: Number(flow.id) };
  return { startMs: Date.parse(flow.start), run, id };
}

export function formatCursor({ startMs, run, id }: Cursor): string {
  return `${startMs}-${run.toString(36)}-${id}`;
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function parseCursor(text: string): Cursor {
  const match = /^(\d{1,16})-(.+)$/.exec(text);
  const flow = parseQualified(match?.[2] ?? "");
  if (match === null || flow === undefined)
    throw flowsFail("X0_FLOWS_INVALID_FILTER", `after cannot be "${text}"`, {
      hint: "pass `next` of the answer before, as it is",
    });
  return { startMs: Number(match[1]), ...flow };
}
