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
  /** Writes differences to `out`. @returns false where one would not be exact. */
  subtract(values: Float64Array, out: Float64Array, columns: Columns, from: number): boolean;
  /** In place. */
  restore(values: Float64Array, columnOf: (column: number) => Float64Array): void;
}

export const differences: Readonly<Record<number, Difference>> = {
  [column.end]: {
    subtract(values, out) {
      let last = 0;
      return every(values, (value, row) => {
        const difference = fold(value - last);
        out[row] = difference;
        last = value;
        // The first one is the time itself.
        return row === 0 || difference < MOST;
      });
    },
    restore(values) {
      let last = 0;
      for (let row = 0; row < values.length; row++) {
        last += unfold(values[row] as number);
        values[row] = last;
      }
    },
  },
  [column.cookie]: {
    subtract(values, out) {
      let last = 0;
      return every(values, (value, row) => {
        if (value === 0) {
          out[row] = 0;
          return true;
        }
        const difference = fold(value - last);
        out[row] = difference + 1;
        last = value;
        return difference < MOST;
      });
    },
    restore(values) {
      let last = 0;
      for (let row = 0; row < values.length; row++) {
        if (values[row] === 0) continue;
        last += unfold((values[row] as number) - 1);
        values[row] = last;
      }
    },
  },
  [column.id]: {
    subtract(values, out) {
      const latest = perCpu();
      return every(values, (value, row) => {
        const cpu = value % CPUS;
        const sequence = (value - cpu) / CPUS;
        const difference = fold(sequence - latest.of(cpu));
        out[row] = difference * CPUS + cpu;
        latest.set(cpu, sequence);
        return difference < MOST;
      });
    },
    restore(values) {
      const latest = perCpu();
      for (let row = 0; row < values.length; row++) {
        const stored = values[row] as number;
        const cpu = stored % CPUS;
        const sequence = latest.of(cpu) + unfold((stored - cpu) / CPUS);
        values[row] = sequence * CPUS + cpu;
        latest.set(cpu, sequence);
      }
    },
  },
  [column.start]: {
    subtract(values, out, columns, from) {
      const ends = columns[column.end] as Float64Array;
      return every(values, (value, row) => {
        const difference = fold((ends[from + row] as number) - value);
        out[row] = difference;
        return difference < MOST;
      });
    },
    restore(values, columnOf) {
      const ends = columnOf(column.end);
      for (let row = 0; row < values.length; row++)
        values[row] = (ends[row] as number) - unfold(values[row] as number);
    },
  },
  [column.connect]: {
    subtract(values, out, columns, from) {
      const rtts = columns[column.rtt] as Float64Array;
      return every(values, (value, row) => {
        out[row] = value === 0 ? 0 : fold(value - (rtts[from + row] as number)) + 1;
        return true;
      });
    },
    restore(values, columnOf) {
      const rtts = columnOf(column.rtt);
      for (let row = 0; row < values.length; row++)
        if (values[row] !== 0) values[row] = (rtts[row] as number) + unfold((values[row] as number) - 1);
    },
  },
};

function every(values: Float64Array, take: (value: number, row: number) => boolean): boolean {
  for (let row = 0; row < values.length; row++) if (!take(values[row] as number, row)) return false;
  return true;
}

function fold(difference: number): number {
  return difference >= 0 ? 2 * difference : -2 * difference - 1;
}

function unfold(folded: number): number {
  return folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
}

/** The latest sequence of each CPU; of one that is new, that of the CPU before. */
function perCpu(): { of(cpu: number): number; set(cpu: number, sequence: number): void } {
  const sequences = new Float64Array(CPUS).fill(-1);
  let latest = 0;
  return {
    of: (cpu) => ((sequences[cpu] as number) < 0 ? latest : (sequences[cpu] as number)),
    set(cpu, sequence) {
      sequences[cpu] = sequence;
      latest = sequence;
    },
  };
}
