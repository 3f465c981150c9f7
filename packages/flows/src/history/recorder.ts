/**
 * Takes records into piles of rows, and writes these as blocks. A pile is written every few seconds, what is new of it
 * as a small block; when it is full, one block replaces the small ones. A crash costs what was not written yet.
 */
import { RECORD_WORDS, type RecordReader, readBatch, recordWord } from "../recording/record.ts";
import { BLOCK_ROWS, type Block, liveBlock } from "./block.ts";
import { column, copyRow, createRows, type Rows, setRow } from "./columns.ts";
import { createDictionaries, type Dictionaries } from "./dictionaries.ts";
import type { BlockKind } from "./file.ts";
import { createOpenFlows, type OpenFlows } from "./open-flows.ts";
import { createPackRoom, packBlock } from "./pack.ts";
import { ended, recordsOf } from "./rows.ts";
import type { Store, StoreWriter } from "./store.ts";
import { createYoung, type Young } from "./young.ts";

/** How often all open flows get a row anew, so that after a crash no more than this has to be looked through. */
const CHECKPOINT_MS = 600_000;

const LONG_MS = 10_000;

export interface Pile {
  readonly kind: BlockKind;
  readonly rows: Rows;
  /** Of the block that it becomes. */
  readonly number: number;
}

export interface RecorderOptions {
  readonly run: number;
  readonly flushMs: number;
  readonly maxFlows: number;
  /** Flows that began in the last seconds: what a flood brings beyond is written as it comes. */
  readonly mostYoung: number;
  /** A full block was written, for good. */
  readonly sealed: (number: number, block: Block) => void;
}

export interface Recorder {
  readonly dictionaries: Dictionaries;
  readonly piles: readonly Pile[];
  readonly young: Young;
  readonly open: OpenFlows;
  /** Rows that are on disk, each counted when it first was. */
  readonly rowsWritten: number;
  /** Whether a block of the store is repeated by a pile. */
  isTail(block: number): boolean;
  /** @returns how many records found no room, because nothing could be written. */
  take(reader: RecordReader, monotonicMs: number): number;
  /** Writes what is due, and `also`, at once. @throws what the store throws; nothing is lost then. */
  flush(monotonicMs: number, also: (writer: StoreWriter) => void): void;
  /** Writes all of the piles, so that the next block may be in another file. @throws likewise */
  seal(): void;
  /** The file that has the small blocks takes no more: the piles, which have their rows, go to the next one whole. */
  leaveFile(): void;
  /** Gives every open flow its last row. @throws likewise */
  finish(): void;
}

interface OwnPile extends Pile {
  number: number;
  /** Rows that small blocks have. */
  written: number;
  readonly tails: Set<number>;
}

export function createRecorder(
  store: Store,
  { run, flushMs, maxFlows, mostYoung, sealed }: RecorderOptions,
): Recorder {
  const dictionaries = createDictionaries();
  const room = createPackRoom(BLOCK_ROWS);
  const young = createYoung(mostYoung);
  const open = createOpenFlows(maxFlows);
  const pile = (kind: BlockKind): OwnPile => ({
    kind,
    rows: createRows(BLOCK_ROWS),
    number: store.nextNumber(),
    written: 0,
    tails: new Set(),
  });
  const flows = pile("flows");
  /** Flows that took long, by themselves: then blocks of all others span little time, and an answer needs few of them. */
  const longFlows = pile("flows");
  /** Likewise those with drops: they are few, and whoever asks for them asks for them alone. */
  const droppedFlows = pile("flows");
  const interim = pile("interim");
  const piles = [interim, flows, longFlows, droppedFlows];
  /** Ends that could not be kept: their flows get what is known of them when there is room again. */
  const orphans = new Set<number>();
  /** Blocks that the checkpoint under way still has to look at, and from which block on it will hold. */
  let checkpoint: { readonly blocks: number[]; readonly from: number } | undefined;
  let nextCheckpointMs = Number.NEGATIVE_INFINITY;
  let isStuck = false;
  let rowsWritten = 0;

  /** All of a pile in one block, instead of the small ones. */
  const seal = (each: OwnPile): void => {
    if (each.rows.count === 0) return;
    const block = packBlock(each.rows, 0, each.rows.count, dictionaries, room);
    store.write((writer) => {
      for (const tail of each.tails) writer.remove(tail);
      writer.put({ number: each.number, kind: each.kind, run }, block);
    });
    rowsWritten += each.rows.count - each.written;
    sealed(each.number, liveBlock(each.rows, dictionaries));
    each.rows.count = 0;
    each.number = store.nextNumber();
    each.written = 0;
    each.tails.clear();
  };
  const sealIfFull = (each: OwnPile): boolean => {
    if (each.rows.count < BLOCK_ROWS) return true;
    if (isStuck) return false;
    try {
      seal(each);
    } catch {
      // The next flush meets the same, and says so.
      isStuck = true;
    }
    return !isStuck;
  };
  const settle = (row: number): void => {
    if (!sealIfFull(interim)) return;
    const at = interim.rows.count++;
    copyRow(young.rows, row, interim.rows, at);
    open.put((interim.rows.columns[column.id] as Float64Array)[at] as number, interim.number, at);
  };
  /** Empties the dictionaries, which needs all rows written that point to them. */
  const renew = (): boolean => {
    if (isStuck) return false;
    try {
      young.leave(Number.POSITIVE_INFINITY, settle);
      for (const each of piles) seal(each);
    } catch {
      isStuck = true;
      return false;
    }
    dictionaries.clear();
    return true;
  };
  const append = (each: OwnPile, reader: RecordReader, index: number): number | undefined => {
    if (!sealIfFull(each)) return undefined;
    const at = each.rows.count++;
    setRow(each.rows, at, reader, index, dictionaries);
    return at;
  };
  const takeOne = (reader: RecordReader, index: number, monotonicMs: number): boolean => {
    const base = (index * RECORD_WORDS) / 2;
    const id = reader.doubles[base + recordWord.idF64 / 2] as number;
    const change = reader.change(index);
    if (change === "end") {
      const lastedMs =
        (reader.doubles[base + recordWord.endF64 / 2] as number) -
        (reader.doubles[base + recordWord.startF64 / 2] as number);
      const hasDrops = reader.words[2 * base + recordWord.drops] !== 0;
      const to = hasDrops ? droppedFlows : lastedMs > LONG_MS ? longFlows : flows;
      const at = append(to, reader, index);
      if (at === undefined) {
        orphans.add(id);
        return false;
      }
      if (!young.end(id, to.rows, at)) open.delete(id);
      return true;
    }
    if (young.update(id, reader, index, dictionaries)) return true;
    // Those that find no room among the young are written as they come.
    if (change === "start" && !young.isFull && open.blockOf(id) === undefined) {
      young.add(reader, index, dictionaries, monotonicMs);
      return true;
    }
    const at = append(interim, reader, index);
    if (at !== undefined) open.put(id, interim.number, at);
    return at !== undefined;
  };

  /** The latest rows in a block, of flows that `wanted` takes. */
  const latestIn = (number: number, wanted: (id: number) => boolean): RecordReader | undefined => {
    if (number === interim.number) seal(interim);
    return store.read(number, (file, entry) => {
      const block = file.block(entry);
      const ids = block.column(column.id);
      const rows: number[] = [];
      for (let row = 0; row < ids.length; row++)
        if (wanted(ids[row] as number) && open.isLatest(ids[row] as number, number, row)) rows.push(row);
      return readBatch(recordsOf(block, rows));
    });
  };
  /** Ends the open flows of a block that `wanted` takes, with what is known of them. */
  const conclude = (number: number, wanted: (id: number) => boolean): void => {
    const latest = latestIn(number, wanted);
    if (latest === undefined) return;
    const reader = readBatch(ended(latest.batch));
    if (dictionaries.isFull && !renew()) return;
    dictionaries.begin(reader.batch);
    for (let index = 0; index < reader.batch.count; index++) {
      if (append(longFlows, reader, index) === undefined) return;
      open.delete(reader.doubles[(index * RECORD_WORDS + recordWord.idF64) / 2] as number);
    }
  };
  /** One step of a checkpoint: the open flows of one block get a new row, which adds nothing to any sum. */
  const repeatOldest = (blocks: number[]): void => {
    const [number] = blocks;
    const latest = number === undefined ? undefined : latestIn(number, () => true);
    if (latest === undefined) {
      blocks.shift();
      return;
    }
    const { words, count } = latest.batch;
    for (let index = 0; index < count; index++) {
      const counters = index * RECORD_WORDS + recordWord.sentPacketsF64;
      words.copyWithin(index * RECORD_WORDS + recordWord.earlierF64, counters, counters + 8);
    }
    if (dictionaries.isFull && !renew()) return;
    dictionaries.begin(latest.batch);
    for (let index = 0; index < count; index++) {
      const at = append(interim, latest, index);
      if (at === undefined) return;
      open.put(latest.doubles[(index * RECORD_WORDS + recordWord.idF64) / 2] as number, interim.number, at);
    }
    blocks.shift();
  };

  return {
    dictionaries,
    piles,
    young,
    open,
    get rowsWritten() {
      return rowsWritten;
    },
    isTail: (block) => piles.some(({ tails }) => tails.has(block)),
    take(reader, monotonicMs) {
      const { count } = reader.batch;
      if (dictionaries.isFull && !renew()) {
        for (let index = 0; index < count; index++)
          if (reader.change(index) === "end")
            orphans.add(reader.doubles[(index * RECORD_WORDS + recordWord.idF64) / 2] as number);
        return count;
      }
      dictionaries.begin(reader.batch);
      let refused = 0;
      for (let index = 0; index < count; index++) if (!takeOne(reader, index, monotonicMs)) refused++;
      return refused;
    },
    flush(monotonicMs, also) {
      isStuck = false;
      young.leave(monotonicMs - flushMs, settle);
      if (orphans.size > 0) {
        for (const number of new Set([...orphans].map((id) => open.blockOf(id))))
          if (number !== undefined) conclude(number, (id) => orphans.has(id));
        if (!isStuck) orphans.clear();
      }
      if (monotonicMs >= nextCheckpointMs && checkpoint === undefined) {
        // Ends that are told from now on lie in blocks from the lowest number on: a pile has its number from its start.
        checkpoint = {
          blocks: [...open.blocks()].filter((block) => block !== interim.number),
          from: Math.min(...piles.map(({ number }) => number)),
        };
        nextCheckpointMs = monotonicMs + CHECKPOINT_MS;
      }
      if (checkpoint !== undefined) repeatOldest(checkpoint.blocks);
      const isComplete = checkpoint?.blocks.length === 0;
      const packed = piles
        .filter(({ rows, written }) => rows.count > written)
        .map((each) => ({
          each,
          number: store.nextNumber(),
          block: packBlock(each.rows, each.written, each.rows.count, dictionaries, room),
        }));
      store.write((writer) => {
        for (const { each, number, block } of packed) writer.put({ number, kind: each.kind, run }, block);
        if (isComplete) writer.setMark("checkpoint", run, checkpoint?.from ?? 0);
        also(writer);
      });
      if (isComplete) checkpoint = undefined;
      for (const { each, number } of packed) {
        each.tails.add(number);
        rowsWritten += each.rows.count - each.written;
        each.written = each.rows.count;
      }
    },
    seal() {
      for (const each of piles) seal(each);
    },
    leaveFile() {
      for (const each of piles) {
        for (const tail of each.tails) store.forget(tail);
        each.tails.clear();
        each.written = 0;
      }
    },
    finish() {
      isStuck = false;
      young.leave(Number.POSITIVE_INFINITY, settle);
      for (const number of open.blocks()) conclude(number, () => true);
      for (const each of piles) seal(each);
      store.write((writer) => writer.setMark("closed", run, 1));
    },
  };
}
