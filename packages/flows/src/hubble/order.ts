/** The flows of Hubble in a batch by their times, and what was lost meanwhile. */
import type { FlowEvent } from "../event.ts";
import type { Coverage, RecordReader } from "../recording/record.ts";
import type { Values } from "./codec.ts";
import { flowOfEvent, flowsInEvent, timeOfEvent } from "./from-event.ts";
import { type Emitter, flowOfSighting, SIGHTINGS, sightingsOf, timeOf } from "./from-record.ts";

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

/** References to what a flow is made of, in one number: kind, then the bit or part, then the index. */
export const kind = { record: 0, event: 1, lost: 2 } as const;
export const reference = (which: number, part: number, index: number): number =>
  (index << 5) | (part << 2) | which;

/** Records that are put in order at once: 16 bits of a key. */
export const CHUNK = 65_536;
/** Times in a chunk are told apart to the microsecond over 71 minutes; what is older comes first, in any order. */
const SPAN_US = 2 ** 32;

/**
 * The flows of some records and of all events by their times: references whose indices that count from `from`.
 * Keys of one double each, so that sorting needs no objects: 32 bits of time before 21 of reference.
 */
export function orderOf(
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
