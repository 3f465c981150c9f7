/** The newest of what a query finds, while it looks through blocks that are in no strict order. */
import { type Cursor, compareCursors } from "./cursor.ts";

export interface Candidate {
  readonly cursor: Cursor;
  readonly row: number;
}

export interface Newest<T> {
  /** Whether what begins then, or a little later, may still enter. */
  wants(startMs: number): boolean;
  /** Whether such a one is behind the cursor. */
  reaches(startMs: number): boolean;
  /** Of so many starts that are wanted and reached: what begins before this has no place beside the others. */
  floor(starts: Float64Array): number;
  /** @param make makes the chosen rows; called at most once. */
  add(candidates: readonly Candidate[], make: (rows: number[]) => readonly T[]): void;
  /** At most one more than the limit, newest first. */
  readonly held: readonly { readonly cursor: Cursor; readonly value: T }[];
}

/** Keeps the `limit` newest behind a cursor, and one more, which tells that there are more. */
export function newest<T>(limit: number, after: Cursor | undefined): Newest<T> {
  const most = limit + 1;
  let held: { readonly cursor: Cursor; readonly value: T }[] = [];
  return {
    get held() {
      return held;
    },
    wants: (startMs) => held.length < most || startMs >= (held[most - 1]?.cursor.startMs as number),
    reaches: (startMs) => after === undefined || startMs <= after.startMs,
    floor(starts) {
      // What begins with the cursor may be before it, and is not counted.
      const behind = after === undefined ? starts : starts.filter((start) => start < after.startMs);
      return behind.length <= most
        ? Number.NEGATIVE_INFINITY
        : (behind.toSorted()[behind.length - most] as number);
    },
    add(candidates, make) {
      const worst = held.length < most ? undefined : held[most - 1]?.cursor;
      const chosen = candidates
        .filter(({ cursor }) => after === undefined || compareCursors(cursor, after) > 0)
        .filter(({ cursor }) => worst === undefined || compareCursors(cursor, worst) < 0)
        .sort((a, b) => compareCursors(a.cursor, b.cursor))
        .slice(0, most);
      if (chosen.length === 0) return;
      const values = make(chosen.map(({ row }) => row));
      const added = chosen.map(({ cursor }, index) => ({ cursor, value: values[index] as T }));
      held = [...held, ...added].sort((a, b) => compareCursors(a.cursor, b.cursor)).slice(0, most);
    },
  };
}
