/**
 * The hubble_* metrics of what is recorded. Where no label tells the ends of a flow, flows of the same shape count into
 * the same series: these are looked up by a number made of the record's words, and no flow is made.
 */
import { hubbleMetrics } from "@x0tta6bl4/telemetry";
import type { FlowEvent } from "../event.ts";
import { protocolNumbers } from "../protocols.ts";
import { RECORD_WORDS, type RecordReader, recordWord } from "../recording/record.ts";
import type { Sample } from "../recording/sink.ts";
import type { Values } from "./codec.ts";
import { flowOfEvent, flowsInEvent } from "./from-event.ts";
import { type Emitter, flowOfSighting, SIGHTINGS, shownFlags, sighting, sightingsOf } from "./from-record.ts";
import { createHandler, type Handler, type Observation } from "./metric-handlers.ts";
import type { MetricChoice } from "./metric-options.ts";
import { type Count, createSeries } from "./metric-series.ts";
import { lossesOf } from "./order.ts";

/** Shapes that are remembered; a scan of ports makes many, and then they are learned anew. */
const MAX_SHAPES = 8192;
/** Observations that wait for the main thread: a second of ten thousand requests a second, twice. */
const MAX_OBSERVATIONS = 20_000;

export interface HubbleMetrics {
  take(records: RecordReader, events: readonly FlowEvent[]): void;
  lost(source: string, count: number): void;
  samples(): Sample[];
  /** For histograms, since the last call. */
  observations(): readonly Observation[];
  /** Metrics with more series than are kept. */
  overflowing(): string[];
}

export function createHubbleMetrics(choices: readonly MetricChoice[], emitter: Emitter): HubbleMetrics {
  const handlers = choices.map(createHandler);
  const byShape = handlers.filter((handler) => handler.byShape);
  const byFlow = handlers.filter((handler) => !handler.byShape);
  const observing = handlers.filter((handler) => handler.observe !== undefined);
  const lostEvents = createSeries(hubbleMetrics.lostEvents, []);
  const shapes = new Map<number, readonly Count[]>();
  let pending: Observation[] = [];

  const lost = (source: string, count: number): void => {
    lostEvents.at([source.toLowerCase()]).value += count;
  };
  const countAll = (from: readonly Handler[], flow: Values): void => {
    for (const handler of from) for (const count of handler.counts(flow)) count.value++;
  };
  const countShape = (records: RecordReader, index: number, which: number): void => {
    const shape = shapeOf(records.words, index, which);
    let counts = shapes.get(shape);
    if (counts === undefined) {
      if (shapes.size >= MAX_SHAPES) shapes.clear();
      const flow = flowOfSighting(records, index, which, emitter);
      counts = byShape.flatMap((handler) => handler.counts(flow));
      shapes.set(shape, counts);
    }
    for (const count of counts) count.value++;
  };

  return {
    take(records, events) {
      const { words, doubles, batch } = records;
      for (let index = 0; index < batch.count; index++) {
        const set = sightingsOf(words, doubles, index);
        for (let part = 0; part < SIGHTINGS; part++) {
          if ((set & (1 << part)) === 0) continue;
          countShape(records, index, 1 << part);
          if (byFlow.length > 0) countAll(byFlow, flowOfSighting(records, index, 1 << part, emitter));
        }
      }
      for (const event of events)
        for (let part = 0; part < flowsInEvent(event); part++) {
          const flow = flowOfEvent(event, part, emitter);
          countAll(handlers, flow);
          for (const handler of observing) {
            const observation = handler.observe?.(flow);
            if (observation !== undefined && pending.length < MAX_OBSERVATIONS) pending.push(observation);
          }
        }
      for (const { source, count } of lossesOf(batch.coverage)) lost(source, count);
    },
    lost,
    samples: () =>
      [...handlers.flatMap(({ series }) => series), lostEvents].flatMap((series) => series.samples()),
    observations() {
      const observations = pending;
      pending = [];
      return observations;
    },
    overflowing: () =>
      handlers
        .flatMap(({ series }) => series)
        .filter(({ overflow }) => overflow > 0)
        .map(({ definition }) => definition.name),
  };
}

/**
 * All that labels without ends depend on, in 47 bits: port or ICMP's type and code, flags, what is shown, protocol,
 * family, place and direction, which ends are known.
 */
function shapeOf(words: Uint32Array, index: number, which: number): number {
  const base = index * RECORD_WORDS;
  const at = (word: number): number => words[base + word] as number;
  const kind = at(recordWord.kind);
  const packed = at(recordWord.protocol);
  const protocol = packed & 0xff;
  const isReply = (which & (sighting.reply | sighting.received | sighting.destinationEnd)) !== 0;
  const flags =
    protocol === protocolNumbers.tcp ? shownFlags(isReply ? packed >>> 16 : packed >>> 8, which, isReply) : 0;
  const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
  // The port of a reply's destination is an ephemeral one, in which no label is interested.
  const detail = isIcmp ? at(recordWord.icmp) & 0xffff : isReply ? 0 : at(recordWord.ports) >>> 16;
  const isVersion4 = isMapped(words, base + recordWord.source) ? 1 : 0;
  const ends = (at(recordWord.process) === 0 ? 0 : 1) | (at(recordWord.peerProcess) === 0 ? 0 : 2);
  const low = (protocol | (flags << 8) | (which << 16) | (isVersion4 << 22) | (ends << 23)) >>> 0;
  const high = detail * 8 + ((kind >>> 16) & 3) * 2 + ((kind >>> 24) & 1);
  return high * 2 ** 25 + low;
}

function isMapped(words: Uint32Array, at: number): boolean {
  // 0000:0000, 0000:0000, 0000:ffff as words of the machine, which is little-endian.
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff0000;
}
