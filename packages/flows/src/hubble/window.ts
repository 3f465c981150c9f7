/**
 * The latest flows in memory, in the order in which they became known: a ring of segments, each of which is a batch of
 * records in itself. Records stay words until somebody asks; names and processes are kept once a segment.
 *
 * Every flow of Hubble has a number, counted from the start. A reader remembers the number of the next one that it
 * wants; what has left the ring by then is lost to it, and it can tell how many that were.
 *
 * While nobody reads, a batch is only copied. It is put in order and into segments for the first reader, or when many
 * small ones wait; in a flood of flows most never are.
 */
import type { FlowEvent } from "../event.ts";
import { RECORD_WORDS, type RecordReader, readBatch } from "../recording/record.ts";
import { flowOfEvent, flowsInEvent } from "./from-event.ts";
import { type Emitter, flowOfSighting, sightingsOf } from "./from-record.ts";
import { CHUNK, type Entry, kind, lossesOf, orderOf, reference } from "./order.ts";
import { copier, SEGMENT_FLOWS, type Segment, segmentAt } from "./segment.ts";

/** 16,384 flows, four times Hubble's default: at most 4 MB of words. The oldest segment goes as a whole. */
const SEGMENTS = 17;
const CAPACITY = (SEGMENTS - 1) * SEGMENT_FLOWS;
/** Batches that wait with names and processes of their own; in segments they share them. */
const MOST_HELD = 32;

export interface FlowWindow {
  append(records: RecordReader, events: readonly FlowEvent[]): void;
  /** Number of the oldest flow that is kept, and of the next one to come. */
  readonly oldest: number;
  readonly next: number;
  /** @param number from `oldest` to below `next` */
  entry(number: number): Entry;
  timeMs(number: number): number;
  /** Flows since the start, losses not among them. */
  readonly seen: number;
  readonly capacity: number;
}

export function createWindow(emitter: Emitter): FlowWindow {
  const segments: Segment[] = [];
  const held: Held[] = [];
  let heldCount = 0;
  /** Words of a batch that nobody came to read, for one to come: in a flood most are. */
  let spare: Uint32Array | undefined;
  let next = 0;
  let seen = 0;

  const open = (): Segment => {
    const latest = segments.at(-1);
    if (latest !== undefined && latest.size < SEGMENT_FLOWS) return latest;
    const segment = segmentAt(next);
    segments.push(segment);
    if (segments.length > SEGMENTS) segments.shift();
    return segment;
  };
  const push = (segment: Segment, what: number, timeMs: number): void => {
    segment.references[segment.size] = what;
    segment.times[segment.size] = timeMs;
    segment.size++;
    next++;
  };
  const take = (records: RecordReader, from: number, to: number, events: readonly FlowEvent[]): void => {
    const { references, times } = orderOf(records, from, to, events);
    let segment: Segment | undefined;
    let copied = (_index: number): number => 0;
    let copiedEvents = new Map<number, number>();
    for (const [place, what] of references.entries()) {
      if (segment === undefined || segment.size === SEGMENT_FLOWS) {
        segment = open();
        copied = copier(segment, records);
        copiedEvents = new Map();
      }
      const which = what & 3;
      const index = what >>> 5;
      let at = which === kind.record ? copied(from + index) : copiedEvents.get(index);
      if (at === undefined) {
        at = segment.events.push(events[index] as FlowEvent) - 1;
        copiedEvents.set(index, at);
      }
      push(segment, reference(which, (what >>> 2) & 7, at), times[place] as number);
    }
  };
  /** Numbers that no segment has; what is in segments is older still. */
  const leaveOut = (count: number): void => {
    if (count === 0) return;
    next += count;
    segments.length = 0;
  };
  const settle = (): void => {
    for (const { records, events, skipped } of held.splice(0)) {
      leaveOut(skipped);
      const { count, coverage } = records.batch;
      for (let from = 0; from < Math.max(1, count, events.length); from += CHUNK)
        take(records, from, Math.min(count, from + CHUNK), events.slice(from, from + CHUNK));
      for (const lost of lossesOf(coverage)) {
        const segment = open();
        push(segment, reference(kind.lost, 0, segment.losses.push(lost) - 1), coverage.toMs);
      }
    }
    heldCount = 0;
  };
  const segmentOf = (number: number): Segment => {
    const first = segments[0]?.first ?? 0;
    // All but the latest are full.
    return segments[Math.floor((number - first) / SEGMENT_FLOWS)] as Segment;
  };

  return {
    append(records, events) {
      const waiting = hold(records, events, spare);
      if (waiting.count === 0) return;
      if (waiting.records.words.buffer === spare?.buffer) spare = undefined;
      seen += waiting.seen;
      held.push(waiting);
      heldCount += waiting.count;
      while (heldCount - (held[0]?.count ?? 0) >= CAPACITY) {
        const { records: gone, count, skipped } = held.shift() as Held;
        spare = gone.words;
        heldCount -= count;
        leaveOut(count + skipped);
      }
      if (held.length > MOST_HELD) settle();
    },
    get oldest() {
      settle();
      return segments[0]?.first ?? next;
    },
    get next() {
      settle();
      return next;
    },
    entry(number) {
      const segment = segmentOf(number);
      const what = segment.references[number - segment.first] as number;
      const timeMs = segment.times[number - segment.first] as number;
      const index = what >>> 5;
      const part = (what >>> 2) & 7;
      if ((what & 3) === kind.lost) return { timeMs, flow: undefined, lost: segment.losses[index] };
      const flow =
        (what & 3) === kind.record
          ? flowOfSighting(segment.reader, index, 1 << part, emitter)
          : flowOfEvent(segment.events[index] as FlowEvent, part, emitter);
      return { timeMs, flow, lost: undefined };
    },
    timeMs(number) {
      const segment = segmentOf(number);
      return segment.times[number - segment.first] as number;
    },
    get seen() {
      return seen;
    },
    capacity: CAPACITY,
  };
}

/** A batch as it came, its words copied. */
interface Held {
  readonly records: RecordReader;
  readonly events: readonly FlowEvent[];
  /** What is kept of it, losses among that. */
  readonly count: number;
  /** Flows before that. */
  readonly skipped: number;
  /** Flows in all. */
  readonly seen: number;
}

/** Of a batch that is more than the window the end is enough. @param spare memory for it, where that is large enough. */
function hold(
  { batch, words, doubles }: RecordReader,
  events: readonly FlowEvent[],
  spare: Uint32Array | undefined,
): Held {
  let kept = 0;
  for (const event of events) kept += flowsInEvent(event);
  let from = batch.count;
  while (from > 0 && kept < CAPACITY) kept += bitCount(sightingsOf(words, doubles, --from));
  let skipped = 0;
  for (let index = 0; index < from; index++) skipped += bitCount(sightingsOf(words, doubles, index));
  const all = words.subarray(from * RECORD_WORDS, batch.count * RECORD_WORDS);
  const isEnough = spare !== undefined && spare.length >= all.length && spare.length < 2 * all.length;
  const copy = isEnough ? spare.subarray(0, all.length) : new Uint32Array(all.length);
  copy.set(all);
  return {
    records: readBatch({ ...batch, words: copy, count: batch.count - from }),
    events,
    count: kept + lossesOf(batch.coverage).length,
    skipped,
    seen: kept + skipped,
  };
}

function bitCount(set: number): number {
  let count = 0;
  for (let rest = set; rest !== 0; rest &= rest - 1) count++;
  return count;
}
