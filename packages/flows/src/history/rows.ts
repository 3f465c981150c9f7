/** Rows of a block → records and flows, by the one conversion that all surfaces share. */
import type { Flow } from "../flow.ts";
import { RECORD_WORDS, type RecordBatch, readBatch, recordWord } from "../recording/record.ts";
import type { Block } from "./block.ts";
import { ACTIVE, column, rowToRecord } from "./columns.ts";

const nothing = { fromMs: 0, toMs: 0, lostPackets: 0, lostBytes: 0, lostEvents: 0, uncounted: 0 };

/** A batch with the dictionaries of the block, and so complete in itself. */
export function recordsOf(block: Block, rows: readonly number[]): RecordBatch {
  const words = new Uint32Array(rows.length * RECORD_WORDS);
  const doubles = new Float64Array(words.buffer);
  const bytes = new Uint8Array(words.buffer);
  for (const [index, row] of rows.entries()) {
    rowToRecord((each) => block.value(each, row), words, doubles, index);
    const base = index * RECORD_WORDS;
    block.address(block.value(column.source, row), bytes, 4 * (base + recordWord.source));
    block.address(block.value(column.destination, row), bytes, 4 * (base + recordWord.destination));
  }
  const { strings, processes, translations } = block;
  return { count: rows.length, words, strings, processes, translations, coverage: nothing };
}

/** @param run those of older runs have ended, whatever was last known: no more will come of them. */
export function flowsOf(block: Block, rows: readonly number[], run: number): Flow[] {
  const reader = readBatch(recordsOf(block, rows));
  return rows.map((_, index) => {
    const flow = reader.flow(index);
    return { ...flow, id: qualified(run, flow.id) };
  });
}

/** The same rows, of flows of which no more will come. */
export function ended(batch: RecordBatch): RecordBatch {
  for (let index = 0; index < batch.count; index++) {
    const base = index * RECORD_WORDS;
    batch.words[base] = (batch.words[base] as number) & ~ACTIVE;
    // Their counters are in the sums already.
    const counters = base + recordWord.sentPacketsF64;
    batch.words.copyWithin(base + recordWord.earlierF64, counters, counters + 8);
  }
  return batch;
}

/** A kernel's number of a flow is unique while its programs are loaded; with the run before it, for good. */
export function qualified(run: number, id: string): string {
  return `${run.toString(36)}-${id}`;
}

/** The inverse; undefined for what is no such id. */
export function parseQualified(text: string): { readonly run: number; readonly id: number } | undefined {
  const match = /^([0-9a-z]{1,10})-(\d{1,16})$/.exec(text);
  if (match === null) return undefined;
  const [run, id] = [Number.parseInt(match[1] as string, 36), Number(match[2])];
  return Number.isSafeInteger(run) && Number.isSafeInteger(id) ? { run, id } : undefined;
}
