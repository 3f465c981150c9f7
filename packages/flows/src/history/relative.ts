/**
 * Columns that say less beside another one: starts lie near ends, and the time to connect is much like the other round
 * trips. What is stored is the difference, zigzag: 0, -1, 1, -2, … as 0, 1, 2, 3, …
 */
import { column } from "./columns.ts";

export interface Relative {
  /** The column that it is counted from. */
  readonly to: number;
  subtract(value: number, other: number): number;
  restore(stored: number, other: number): number;
}

export const relatives: Readonly<Record<number, Relative>> = {
  [column.start]: {
    to: column.end,
    subtract: (start, end) => fold(end - start),
    restore: (stored, end) => end - unfold(stored),
  },
  [column.connect]: {
    to: column.rtt,
    // 0 is not known.
    subtract: (connect, rtt) => (connect === 0 ? 0 : fold(connect - rtt) + 1),
    restore: (stored, rtt) => (stored === 0 ? 0 : rtt + unfold(stored - 1)),
  },
};

function fold(difference: number): number {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}

function unfold(folded: number): number {
  return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
}
