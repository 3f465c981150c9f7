/**
 * The latest flows in memory, in the order in which they became known: a ring of segments, each of which is a batch of
 * records in itself. Records stay words until somebody asks; names and processes are kept once a segment.
 *
 * Every flow of Hubble has a number, counted from the start. A reader remembers the number of the next one that it
 * wants; what has left the ring by then is lost to it, and it can tell how many that were.
 *
 * While nobody reads, a batch is only copied: it is put in order and into segments for the first reader, and most never
 * are.
 */
import type { FlowEvent } from "../event.ts";
import {
  type Coverage,
  RECORD_WORDS,
  type RecordBatch,
  type RecordReader,
  readBatch,
  recordWord,
} from "../recording/record.ts";
import type { Values } from "./codec.ts";
import { flowOfEvent, flowsInEvent, timeOfEvent } from "./from-event.ts";
import { type Emitter, flowOfSighting, SIGHTINGS, sightingsOf, timeOf } from "./from-record.ts";

/** Flows in a segment, and so at most its records: 229 kB of words. */
const SEGMENT_FLOWS = 1024;
/** 16,384 flows, four times Hubble's default: at most 4 MB of words. The oldest segment goes as a whole. */
const SEGMENTS = 17;
const CAPACITY = (SEGMENTS - 1) * SEGMENT_FLOWS;

/** A loss that is told among the flows, as Hubble's LostEvent. */
export interface Lost {
  readonly source: "PERF_EVENT_RING_BUFFER" | "OBSERVER_EVENTS_QUEUE" | "HUBBLE_RING_BUFFER";
  readonly count: number;
  readonly firstMs: number;
  readonly lastMs: number;
}

export interface Entry {
  readonly timeMs: number;
  /** Makes the flow; `undefined` for a loss. */
  readonly flow: Values | undefined;
  readonly lost: Lost | undefined;
}

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

/** References to what a flow is made of, in one number: kind, then the bit or part, then the index. */
const kind = { record: 0, event: 1, lost: 2 } as const;
const reference = (which: number, part: number, index: number): number => (index << 5) | (part << 2) | which;

interface Segment {
  readonly first: number;
  readonly batch: { -readonly [K in keyof RecordBatch]: RecordBatch[K] };
  readonly reader: RecordReader;
  readonly references: Uint32Array;
  readonly times: Float64Array;
  size: number;
  readonly strings: string[];
  readonly stringNumbers: Map<string, number>;
  readonly processes: RecordBatch["processes"][number][];
  readonly translations: RecordBatch["translations"][number][];
  readonly events: FlowEvent[];
  readonly losses: Lost[];
}

const noCoverage: Coverage = {
  fromMs: 0,
  toMs: 0,
  lostPackets: 0,
  lostBytes: 0,
  lostEvents: 0,
  uncounted: 0,
};

export function createWindow(emitter: Emitter): FlowWindow {
  const segments: Segment[] = [];
  const held: Held[] = [];
  let heldCount = 0;
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
      const waiting = hold(records, events);
      if (waiting.count === 0) return;
      seen += waiting.seen;
      held.push(waiting);
      heldCount += waiting.count;
      while (heldCount - (held[0]?.count ?? 0) >= CAPACITY) {
        const { count, skipped } = held.shift() as Held;
        heldCount -= count;
        leaveOut(count + skipped);
      }
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

/** Of a batch that is more than the window the end is enough. */
function hold({ batch, words, doubles }: RecordReader, events: readonly FlowEvent[]): Held {
  let kept = 0;
  for (const event of events) kept += flowsInEvent(event);
  let from = batch.count;
  while (from > 0 && kept < CAPACITY) kept += bitCount(sightingsOf(words, doubles, --from));
  let skipped = 0;
  for (let index = 0; index < from; index++) skipped += bitCount(sightingsOf(words, doubles, index));
  const copy = words.slice(from * RECORD_WORDS, batch.count * RECORD_WORDS);
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

function segmentAt(first: number): Segment {
  const words = new Uint32Array(SEGMENT_FLOWS * RECORD_WORDS);
  const strings = [""];
  const processes = [null];
  const translations = [{ source: "", destination: "" }];
  const batch = { count: 0, words, strings, processes, translations, coverage: noCoverage };
  return {
    first,
    batch,
    reader: readBatch(batch),
    references: new Uint32Array(SEGMENT_FLOWS),
    times: new Float64Array(SEGMENT_FLOWS),
    size: 0,
    strings,
    stringNumbers: new Map([["", 0]]),
    processes,
    translations,
    events: [],
    losses: [],
  };
}

/** Records that are put in order at once: 16 bits of a key. */
const CHUNK = 65_536;
/** Times in a chunk are told apart to the microsecond over 71 minutes; what is older comes first, in any order. */
const SPAN_US = 2 ** 32;

/**
 * The flows of some records and of all events by their times: references as above, but indices that count from `from`.
 * Keys of one double each, so that sorting needs no objects: 32 bits of time before 21 of reference.
 */
function orderOf(
  { words, doubles }: RecordReader,
  from: number,
  to: number,
  events: readonly FlowEvent[],
): { readonly references: Uint32Array; readonly times: Float64Array } {
  const references: number[] = [];
  const times: number[] = [];
  for (let index = from; index < to; index++) {
    const set = sightingsOf(words, doubles, index);
    for (let part = 0; part < SIGHTINGS; part++)
      if (set & (1 << part)) {
        references.push(reference(kind.record, part, index - from));
        times.push(timeOf(words, doubles, index, 1 << part));
      }
  }
  for (const [index, event] of events.entries())
    for (let part = 0; part < flowsInEvent(event); part++) {
      references.push(reference(kind.event, part, index));
      times.push(timeOfEvent(event, part));
    }
  const latest = times.reduce((most, time) => Math.max(most, time), 0);
  const keys = Float64Array.from(times, (time, index) => {
    const microseconds = Math.max(0, SPAN_US - 1 - Math.round((latest - time) * 1000));
    return microseconds * 2 ** 21 + (references[index] as number);
  }).sort();
  return {
    references: Uint32Array.from(keys, (key) => key % 2 ** 21),
    times: Float64Array.from(keys, (key) => latest - (SPAN_US - 1 - Math.floor(key / 2 ** 21)) / 1000),
  };
}

/** The flows of a batch that is in no window, by their times. */
export function* entriesOf(
  records: RecordReader,
  events: readonly FlowEvent[],
  emitter: Emitter,
): Generator<Entry> {
  const { count } = records.batch;
  for (let from = 0; from < Math.max(1, count, events.length); from += CHUNK) {
    const part = events.slice(from, from + CHUNK);
    const { references, times } = orderOf(records, from, Math.min(count, from + CHUNK), part);
    for (const [place, what] of references.entries()) {
      const index = what >>> 5;
      const bit = (what >>> 2) & 7;
      const flow =
        (what & 3) === kind.record
          ? flowOfSighting(records, from + index, 1 << bit, emitter)
          : flowOfEvent(part[index] as FlowEvent, bit, emitter);
      yield { timeMs: times[place] as number, flow, lost: undefined };
    }
  }
}

/** Losses of the kernel's buffer, and of flows that were gone before they were read. */
export function lossesOf({ fromMs, toMs, lostEvents, lostPackets }: Coverage): Lost[] {
  const loss = (source: Lost["source"], count: number): Lost[] =>
    count === 0 ? [] : [{ source, count, firstMs: fromMs, lastMs: toMs }];
  return [...loss("PERF_EVENT_RING_BUFFER", lostEvents), ...loss("OBSERVER_EVENTS_QUEUE", lostPackets)];
}

const stringWords = [
  recordWord.interfaceString,
  recordWord.sourceNameString,
  recordWord.destinationNameString,
  recordWord.serverNameString,
  recordWord.dropReasonString,
];

/** Copies records of a batch into a segment, each once, with the numbers of their strings and processes changed. */
function copier(segment: Segment, { batch, words }: RecordReader): (index: number) => number {
  const rows = new Map<number, number>();
  const processes = new Map<number, number>([[0, 0]]);
  const stringOf = (text: string): number => {
    const known = segment.stringNumbers.get(text);
    if (known !== undefined) return known;
    const number = segment.strings.push(text) - 1;
    segment.stringNumbers.set(text, number);
    return number;
  };
  const processOf = (number: number): number => {
    const known = processes.get(number);
    if (known !== undefined) return known;
    const copied = segment.processes.push(batch.processes[number] ?? null) - 1;
    processes.set(number, copied);
    return copied;
  };
  return (index) => {
    const known = rows.get(index);
    if (known !== undefined) return known;
    const row = segment.batch.count++;
    rows.set(index, row);
    const to = row * RECORD_WORDS;
    const own = segment.batch.words;
    own.set(words.subarray(index * RECORD_WORDS, (index + 1) * RECORD_WORDS), to);
    for (const word of stringWords) {
      const number = own[to + word] as number;
      if (number !== 0) own[to + word] = stringOf(batch.strings[number] as string);
    }
    for (const word of [recordWord.process, recordWord.peerProcess])
      own[to + word] = processOf(own[to + word] as number);
    const translation = own[to + recordWord.translation] as number;
    if (translation !== 0)
      own[to + recordWord.translation] =
        segment.translations.push(batch.translations[translation] ?? { source: "", destination: "" }) - 1;
    return row;
  };
}
