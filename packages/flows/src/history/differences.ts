/**
 * Columns that say less beside another value: ends rise, starts lie near ends, identifiers and cookies are counted up
 * (identifiers by each CPU: `sequence << 10 | cpu`), and the first round trip is much like the others. What is stored
 * is the difference, zigzag: 0, -1, 1, -2, … as 0, 1, 2, 3, …
 */
import { type Columns, column } from "./columns.ts";

/** Differences that stay exact in a double after folding, with ten bits beside them. */
const MOST = 2 ** 41;
const CPUS = 1024;

interface Difference {
  /**
   * Writes differences to `out`.
   * @returns what they count from, to be kept beside them; undefined where one would not be exact.
   */
  subtract(values: Float64Array, out: Float64Array, columns: Columns, from: number): number | undefined;
  /** In place. */
  restore(values: Float64Array, base: number, columnOf: (column: number) => Float64Array): void;
}

export const differences: Readonly<Record<number, Difference>> = {
  [column.end]: {
    subtract(values, out) {
      const base = values[0] as number;
      let last = base;
      for (let row = 0; row < values.length; row++) {
        const value = values[row] as number;
        const difference = fold(value - last);
        if (difference >= MOST) return undefined;
        out[row] = difference;
        last = value;
      }
      return base;
    },
    restore(values, base) {
      let last = base;
      for (let row = 0; row < values.length; row++) {
        last += unfold(values[row] as number);
        values[row] = last;
      }
    },
  },
  [column.cookie]: {
    subtract(values, out) {
      const base = values.find((value) => value !== 0) ?? 0;
      let last = base;
      for (let row = 0; row < values.length; row++) {
        const value = values[row] as number;
        out[row] = 0;
        if (value === 0) continue;
        const difference = fold(value - last);
        if (difference >= MOST) return undefined;
        out[row] = difference + 1;
        last = value;
      }
      return base;
    },
    restore(values, base) {
      let last = base;
      for (let row = 0; row < values.length; row++) {
        if (values[row] === 0) continue;
        last += unfold((values[row] as number) - 1);
        values[row] = last;
      }
    },
  },
  [column.id]: {
    subtract(values, out) {
      const base = Math.floor((values[0] as number) / CPUS);
      const sequences = new Float64Array(CPUS).fill(-1);
      let latest = base;
      for (let row = 0; row < values.length; row++) {
        const value = values[row] as number;
        const cpu = value % CPUS;
        const known = sequences[cpu] as number;
        const sequence = (value - cpu) / CPUS;
        const difference = fold(sequence - (known < 0 ? latest : known));
        if (difference >= MOST) return undefined;
        out[row] = difference * CPUS + cpu;
        sequences[cpu] = sequence;
        latest = sequence;
      }
      return base;
    },
    restore(values, base) {
      // The latest of each CPU; of one that is new, that of the CPU before.
      const sequences = new Float64Array(CPUS).fill(-1);
      let latest = base;
      for (let row = 0; row < values.length; row++) {
        const stored = values[row] as number;
        const cpu = stored % CPUS;
        const known = sequences[cpu] as number;
        latest = (known < 0 ? latest : known) + unfold((stored - cpu) / CPUS);
        sequences[cpu] = latest;
        values[row] = latest * CPUS + cpu;
      }
    },
  },
  [column.start]: {
    subtract(values, out, columns, from) {
      const ends = columns[column.end] as Float64Array;
      for (let row = 0; row < values.length; row++) {
        const difference = fold((ends[from + row] as number) - (values[row] as number));
        if (difference >= MOST) return undefined;
        out[row] = difference;
      }
      return 0;
    },
    restore(values, _, columnOf) {
      const ends = columnOf(column.end);
      for (let row = 0; row < values.length; row++)
        values[row] = (ends[row] as number) - unfold(values[row] as number);
    },
  },
  [column.connect]: {
    subtract(values, out, columns, from) {
      const rtts = columns[column.rtt] as Float64Array;
      for (let row = 0; row < values.length; row++) {
        const value = values[row] as number;
        out[row] = value === 0 ? 0 : fold(value - (rtts[from + row] as number)) + 1;
      }
      return 0;
    },
    restore(values, _, columnOf) {
      const rtts = columnOf(column.rtt);
      for (let row = 0; row < values.length; row++)
        if (values[row] !== 0) values[row] = (rtts[row] as number) + unfold((values[row] as number) - 1);
    },
  },
};

function fold(difference: number): number {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}

function unfold(folded: number): number {
  return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
}
