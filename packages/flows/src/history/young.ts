/**
 * Flows that have just begun. Most are over within seconds, and then their start need not be written: one row says it
 * all. Rows are in the order in which they came.
 */
import { createIdIndex } from "../capture/id-index.ts";
import { RECORD_WORDS, type RecordReader, recordWord } from "../recording/record.ts";
import { column, copyRow, createRows, earlierColumns, type Rows, setRow, setValue } from "./columns.ts";
import type { Dictionaries } from "./dictionaries.ts";

export interface Young {
  readonly rows: Rows;
  readonly isFull: boolean;
  add(reader: RecordReader, index: number, into: Dictionaries, nowMs: number): void;
  /** A later record of a flow takes its place. @returns false where the flow is not here. */
  update(id: number, reader: RecordReader, index: number, into: Dictionaries): boolean;
  /** The flow is over: `rows[at]` counts from where its start did. @returns false where the flow is not here. */
  end(id: number, rows: Rows, at: number): boolean;
  /** Whether a row's flow is still young. */
  isHere(row: number): boolean;
  /** Rows of flows that began before then leave, oldest first. */
  leave(beforeMs: number, take: (row: number) => void): void;
  clear(): void;
}

export function createYoung(capacity: number): Young {
  const rows = createRows(capacity);
  const cameMs = new Float64Array(capacity);
  const isHere = new Uint8Array(capacity);
  const index = createIdIndex(capacity);
  const idAt = (row: number): number => (rows.columns[column.id] as Float64Array)[row] as number;
  const rowOf = (id: number): number => index.get(id >>> 0, Math.floor(id / 2 ** 32));
  const remove = (row: number): void => {
    const id = idAt(row);
    index.delete(id >>> 0, Math.floor(id / 2 ** 32));
    isHere[row] = 0;
  };

  /** What a row adds to sums. */
  const toldAt = (row: number): readonly number[] =>
    earlierColumns.map(([earlier, counter]) => valueAt(rows, counter, row) - valueAt(rows, earlier, row));

  return {
    rows,
    get isFull() {
      return rows.count === capacity;
    },
    add(reader, record, into, nowMs) {
      if (
        this.update(
          reader.doubles[(record * RECORD_WORDS + recordWord.idF64) / 2] as number,
          reader,
          record,
          into,
        )
      )
        return;
      const row = rows.count++;
      setRow(rows, row, reader, record, into);
      cameMs[row] = nowMs;
      isHere[row] = 1;
      const id = idAt(row);
      index.add(id >>> 0, Math.floor(id / 2 ** 32), row);
    },
    update(id, reader, record, into) {
      const row = rowOf(id);
      if (row < 0) return false;
      const told = toldAt(row);
      setRow(rows, row, reader, record, into);
      addTold(rows, row, told);
      return true;
    },
    end(id, to, at) {
      const row = rowOf(id);
      if (row < 0) return false;
      addTold(to, at, toldAt(row));
      remove(row);
      return true;
    },
    isHere: (row) => isHere[row] === 1,
    leave(beforeMs, take) {
      let from = 0;
      while (from < rows.count && (cameMs[from] as number) <= beforeMs) {
        if (isHere[from] === 1) {
          take(from);
          remove(from);
        }
        from++;
      }
      // The rest closes up.
      const staying: number[] = [];
      for (let row = from; row < rows.count; row++) if (isHere[row] === 1) staying.push(row);
      for (const row of staying) remove(row);
      for (const [at, row] of staying.entries()) {
        copyRow(rows, row, rows, at);
        cameMs[at] = cameMs[row] as number;
        isHere[at] = 1;
        const id = idAt(at);
        index.add(id >>> 0, Math.floor(id / 2 ** 32), at);
      }
      rows.count = staying.length;
    },
    clear() {
      for (let row = 0; row < rows.count; row++) if (isHere[row] === 1) remove(row);
      rows.count = 0;
    },
  };
}

function valueAt({ columns }: Rows, at: number, row: number): number {
  return (columns[at] as Float64Array)[row] as number;
}

/** The row stands for one more, which will not be written: it adds to sums what that one did, too. */
function addTold(rows: Rows, row: number, told: readonly number[]): void {
  for (const [index, [earlier]] of earlierColumns.entries())
    setValue(rows, earlier, row, Math.max(0, valueAt(rows, earlier, row) - (told[index] as number)));
}
