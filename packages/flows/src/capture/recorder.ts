/**
 * What the recording thread gets to know of flows: each start and end, and for long ones an update every few minutes.
 * Batches go out once a second. Where the other side falls behind, records are counted and left out rather than
 * kept: a disk that hangs must not fill the memory.
 */
import type { FlowEvent } from "../event.ts";
import { type Coverage, changes, type RecordBatch } from "../recording/record.ts";
import type { BatchWriter, Earlier } from "./encode.ts";

/** NetFlow calls this the active timeout. */
const UPDATE_MS = 60_000;
/** Batches under way: as many seconds. */
const MOST_UNDER_WAY = 8;
/** Records of a batch: 29 MB. Beyond them no disk and no peer would follow. */
const MOST_RECORDS = 131_072;
const MOST_EVENTS = 20_000;

export interface RecordMessage {
  readonly batch: RecordBatch;
  readonly events: readonly FlowEvent[];
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
  let underWay = 0;
  let cursor = 0;
  let sentMs: number | undefined;
  let unrecorded = 0;
  let held: Coverage | undefined;

  const add = (slot: number, change: number, earlier: Earlier | undefined): void => {
    if (underWay >= MOST_UNDER_WAY || writer.count >= MOST_RECORDS) unrecorded++;
    else write(slot, change, earlier);
  };
  const update = (slot: number): void => {
    const now = counters(slot);
    add(slot, UPDATE, told.get(slot));
    told.set(slot, now);
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
      update(slot);
    }
  };

  return {
    // A start adds nothing: all that a flow ever counted is in its updates and its end.
    started: (slot) => add(slot, START, "own"),
    learned: (slot) => void fresh.add(slot),
    ended(slot) {
      add(slot, END, told.get(slot));
      told.delete(slot);
      fresh.delete(slot);
    },
    event(event) {
      if (events.length >= MOST_EVENTS || underWay >= MOST_UNDER_WAY) unrecorded++;
      else events.push(event);
    },
    flush(coverage) {
      for (const slot of fresh) if (isActive(slot)) update(slot);
      fresh = new Set();
      if (sentMs !== undefined) updateLongOnes(Math.max(0, coverage.toMs - sentMs));
      sentMs = coverage.toMs;
      const all = held === undefined ? coverage : joinCoverage(held, coverage);
      if (underWay >= MOST_UNDER_WAY) {
        held = { ...all, gap: all.gap ?? "the recording thread was busy" };
        return;
      }
      held = undefined;
      underWay++;
      send({ batch: writer.take(all), events });
      events = [];
    },
    taken(memory) {
      underWay--;
      writer.reuse(memory);
    },
    get unrecorded() {
      return unrecorded;
    },
  };
}

/** Both intervals as one. */
function joinCoverage(earlier: Coverage, later: Coverage): Coverage {
  const gap = earlier.gap ?? later.gap;
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
