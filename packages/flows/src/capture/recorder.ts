/**
 * What the recording thread gets to know of flows: each start and end, and for long ones an update a minute.
 * Batches go out once a second, in a flood in parts. Where the other side falls behind, records are counted and left out rather than
 * kept: a disk that hangs must not fill the memory.
 */
import type { FlowEvent } from "../event.ts";
import { type Coverage, changes, type RecordBatch } from "../recording/record.ts";
import type { BatchWriter, Earlier } from "./encode.ts";

/** NetFlow calls this the active timeout. */
const UPDATE_MS = 60_000;
export const recorderLimits = {
  /** Batches under way, parts not among them: as many seconds. */
  batches: 8,
  /** Of a batch: what is more goes out before its second is over, so that its memory is small and comes back soon. */
  part: 4096,
  /**
   * Records in batches under way and in the next one, together: 59 MB. A read of a crowded map alone may end half as
   * many flows; who is further behind will not catch up.
   */
  records: 262_144,
  /** Of a batch. */
  events: 20_000,
} as const;

export interface RecordMessage {
  readonly batch: RecordBatch;
  readonly events: readonly FlowEvent[];
  /** More of the same second follows: it covers nothing by itself. */
  readonly isPart: boolean;
}

export interface Recorder {
  started(slot: number): void;
  /** It has new facts: told once more, with the next batch. */
  learned(slot: number): void;
  ended(slot: number): void;
  event(event: FlowEvent): void;
  /** Adds the updates that are due, and sends. */
  flush(coverage: Coverage): void;
  /** The other side has taken a batch, and gives its memory back. */
  taken(memory: ArrayBuffer): void;
  /** Records and events that were left out. */
  readonly unrecorded: number;
}

export interface RecorderOptions {
  readonly capacity: number;
  readonly writer: BatchWriter;
  readonly write: (slot: number, change: number, earlier: Earlier | undefined) => void;
  readonly isActive: (slot: number) => boolean;
  /** Packets sent and received, bytes sent and received. */
  readonly counters: (slot: number) => readonly [number, number, number, number];
  readonly send: (message: RecordMessage) => void;
}

const START: number = changes.indexOf("start");
const UPDATE: number = changes.indexOf("update");
const END: number = changes.indexOf("end");

export function createRecorder(options: RecorderOptions): Recorder {
  const { capacity, writer, write, isActive, counters, send } = options;
  /** Counters as the last update of a flow told them: only long flows have any. */
  const told = new Map<number, readonly [number, number, number, number]>();
  let fresh = new Set<number>();
  let events: FlowEvent[] = [];
  /** What was not taken yet, oldest first. */
  let underWay: { readonly records: number; readonly isPart: boolean }[] = [];
  let recordsUnderWay = 0;
  let batchesUnderWay = 0;
  let cursor = 0;
  let sentMs: number | undefined;
  /** Records and events left out, by batches that have gone and since then. */
  let unrecorded = 0;
  let leftOut = 0;
  let held: Coverage | undefined;

  const isBehind = (): boolean => batchesUnderWay >= recorderLimits.batches;
  const post = (coverage: Coverage, isPart: boolean): void => {
    underWay.push({ records: writer.count, isPart });
    recordsUnderWay += writer.count;
    if (!isPart) batchesUnderWay++;
    send({ batch: writer.take(coverage), events, isPart });
    events = [];
  };
  /** @returns whether there was room for it. */
  const add = (slot: number, change: number, earlier: Earlier | undefined): boolean => {
    const hasRoom = !isBehind() && recordsUnderWay + writer.count < recorderLimits.records;
    if (hasRoom) write(slot, change, earlier);
    else leftOut++;
    // Before the first second is over it is not known when it began.
    if (writer.count >= recorderLimits.part && sentMs !== undefined) post(nothingAt(sentMs), true);
    return hasRoom;
  };
  /** What was left out is not told: the next record of the flow brings it. */
  const update = (slot: number, now = counters(slot)): void => {
    if (add(slot, UPDATE, told.get(slot))) told.set(slot, now);
  };
  /** A share of all slots each time, so that each has its turn within the interval. */
  const updateLongOnes = (elapsedMs: number): void => {
    const share = Math.min(capacity, Math.ceil((capacity * elapsedMs) / UPDATE_MS));
    for (let index = 0; index < share; index++) {
      const slot = cursor;
      cursor = (cursor + 1) % capacity;
      if (!isActive(slot)) continue;
      const before = told.get(slot);
      const now = counters(slot);
      if (before?.every((value, which) => value === now[which])) continue;
      update(slot, now);
    }
  };

  return {
    // A start adds nothing: all that a flow ever counted is in its updates and its end.
    started: (slot) => void add(slot, START, "own"),
    learned: (slot) => void fresh.add(slot),
    ended(slot) {
      add(slot, END, told.get(slot));
      told.delete(slot);
      fresh.delete(slot);
    },
    event(event) {
      if (events.length >= recorderLimits.events || isBehind()) leftOut++;
      else events.push(event);
    },
    flush(coverage) {
      for (const slot of fresh) if (isActive(slot)) update(slot);
      fresh = new Set();
      if (sentMs !== undefined) updateLongOnes(Math.max(0, coverage.toMs - sentMs));
      sentMs = coverage.toMs;
      const all = held === undefined ? coverage : joinCoverage(held, coverage);
      held = isBehind() ? all : undefined;
      if (held !== undefined) return;
      post(leftOut === 0 ? all : withGap(all, leftOut), false);
      unrecorded += leftOut;
      leftOut = 0;
    },
    taken(memory) {
      const [oldest, ...rest] = underWay;
      underWay = rest;
      recordsUnderWay -= oldest?.records ?? 0;
      if (oldest?.isPart === false) batchesUnderWay--;
      writer.reuse(memory);
    },
    get unrecorded() {
      return unrecorded + leftOut;
    },
  };
}

function nothingAt(ms: number): Coverage {
  return { fromMs: ms, toMs: ms, lostPackets: 0, lostBytes: 0, lostEvents: 0, uncounted: 0 };
}

/** An interval of which a part is missing is not covered. */
function withGap(coverage: Coverage, leftOut: number): Coverage {
  const busy = `${leftOut} records were left out: the recording thread was busy`;
  return { ...coverage, fromMs: coverage.toMs, gap: bothReasons(coverage.gap, busy) };
}

/** Both intervals as one. */
function joinCoverage(earlier: Coverage, later: Coverage): Coverage {
  const gap = earlier.gap === undefined ? later.gap : bothReasons(earlier.gap, later.gap);
  return {
    fromMs: earlier.fromMs,
    toMs: later.toMs,
    lostPackets: earlier.lostPackets + later.lostPackets,
    lostBytes: earlier.lostBytes + later.lostBytes,
    lostEvents: earlier.lostEvents + later.lostEvents,
    uncounted: earlier.uncounted + later.uncounted,
    ...(gap === undefined ? {} : { gap }),
  };
}

/** A clock that steps every second while the other side hangs would fill the memory with reasons. */
const MOST_REASON_LENGTH = 500;

function bothReasons(earlier = "", later = ""): string {
  if (earlier.length > MOST_REASON_LENGTH) return earlier;
  return [...new Set([...earlier.split("; "), later])].filter((reason) => reason !== "").join("; ");
}
