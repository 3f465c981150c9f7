/**
 * The hubble_* metrics of what is recorded. Where no label tells the ends of a flow, flows of the same shape count into
 * the same series: these are looked up by a number made of the record's words, and no flow is made. Ports, which have
 * no end in a flood, are no part of the shape.
 */
import { hubbleMetrics } from "@x0tta6bl4/telemetry";
import type { FlowEvent } from "../event.ts";
import { protocolNumbers } from "../protocols.ts";
import { RECORD_WORDS, type RecordReader, recordWord, verdictOf } from "../recording/record.ts";
import type { Sample } from "../recording/sink.ts";
import { verdicts } from "../verdicts.ts";
import type { Values } from "./codec.ts";
import { flowOfEvent, flowsInEvent } from "./from-event.ts";
import {
  type Emitter,
  flowOfSighting,
  ofDestination,
  shownFlags,
  sighting,
  sightingsOf,
} from "./from-record.ts";
import { createHandler, type Handler, type Observation } from "./metric-handlers.ts";
import type { MetricChoice } from "./metric-options.ts";
import { type Count, createSeries } from "./metric-series.ts";
import { lossesOf } from "./order.ts";

const FORWARDED = verdicts.indexOf("forwarded");
/** Shapes that are remembered; beyond them, which only strange types of ICMP cause, they are learned anew. */
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
  const byPort = handlers.flatMap((handler) => handler.byPort ?? []);
  const byFlow = handlers.filter((handler) => !handler.byShape && handler.byPort === undefined);
  const onlyOpenings = byFlow.every((handler) => handler.onlyOpenings);
  const observing = handlers.filter((handler) => handler.observe !== undefined);
  const lostEvents = createSeries(hubbleMetrics.lostEvents, []);
  /** By verdict: with it a shape would not fit in 30 bits. */
  const shapesOf = verdicts.map(() => new Map<number, readonly Count[]>());
  let pending: Observation[] = [];

  const lost = (source: string, count: number): void => {
    lostEvents.at([source.toLowerCase()]).value += count;
  };
  const countAll = (from: readonly Handler[], flow: Values): void => {
    for (const handler of from) for (const count of handler.counts(flow)) count.value++;
  };
  const countShape = (records: RecordReader, index: number, which: number): void => {
    const shape = shapeOf(records.words, index, which);
    const verdict = verdictOf(records.words[index * RECORD_WORDS + recordWord.kind] as number);
    const shapes = shapesOf[verdict] as Map<number, readonly Count[]>;
    let counts = shapes.get(shape);
    if (counts === undefined) {
      if (shapes.size >= MAX_SHAPES) shapes.clear();
      const flow = flowOfSighting(records, index, which, emitter);
      counts = byShape.flatMap((handler) => handler.counts(flow));
      shapes.set(shape, counts);
    }
    for (const count of counts) count.value++;
  };

  const countOpening = ({ words }: RecordReader, index: number): void => {
    const base = index * RECORD_WORDS;
    if (verdictOf(words[base + recordWord.kind] as number) !== FORWARDED) return;
    const protocol = (words[base + recordWord.protocol] as number) & 0xff;
    const port = hasPorts(protocol) ? (words[base + recordWord.ports] as number) >>> 16 : 0;
    for (const countOf of byPort) {
      const count = countOf(protocol, port);
      if (count !== undefined) count.value++;
    }
  };

  return {
    take(records, events) {
      const { words, doubles, batch } = records;
      for (let index = 0; index < batch.count && handlers.length > 0; index++) {
        for (let rest = sightingsOf(words, doubles, index); rest !== 0; rest &= rest - 1) {
          const which = rest & -rest;
          if (byShape.length > 0) countShape(records, index, which);
          if (byPort.length > 0 && (which & ofDestination) === 0) countOpening(records, index);
          if (byFlow.length > 0 && (!onlyOpenings || which === sighting.opening))
            countAll(byFlow, flowOfSighting(records, index, which, emitter));
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

/** Whether its `ports` are ports, and not what ICMP has there. */
function hasPorts(protocol: number): boolean {
  return (
    protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp || protocol === protocolNumbers.sctp
  );
}

/**
 * All that labels without ports and ends depend on, in 30 bits, which a map finds without making a number of it: what
 * is shown, flags of TCP or type and code of ICMP, protocol, family, place and direction, which ends are known.
 */
function shapeOf(words: Uint32Array, index: number, which: number): number {
  const base = index * RECORD_WORDS;
  const kind = words[base + recordWord.kind] as number;
  const packed = words[base + recordWord.protocol] as number;
  const protocol = packed & 0xff;
  const isReply = (which & ofDestination) !== 0;
  const shown = protocolsShown.indexOf(protocol);
  const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
  const detail = isIcmp
    ? (words[base + recordWord.icmp] as number) & 0xffff
    : protocol === protocolNumbers.tcp
      ? shownFlags(isReply ? packed >>> 16 : packed >>> 8, which, isReply)
      : 0;
  const isVersion4 = isMapped(words, base + recordWord.source) ? 1 : 0;
  const ends =
    (words[base + recordWord.process] === 0 ? 0 : 1) | (words[base + recordWord.peerProcess] === 0 ? 0 : 2);
  const seen = ((kind >>> 16) & 3) | (((kind >>> 24) & 1) << 2);
  const bit = 31 - Math.clz32(which);
  return detail | (bit << 16) | ((shown + 1) << 19) | (isVersion4 << 22) | (ends << 23) | (seen << 25);
}

/** Protocols that have a message of their own in layer 4; all others count alike. */
const protocolsShown: readonly number[] = [
  protocolNumbers.tcp,
  protocolNumbers.udp,
  protocolNumbers.icmp,
  protocolNumbers.icmpv6,
  protocolNumbers.sctp,
  protocolNumbers.igmp,
  protocolNumbers.vrrp,
];

function isMapped(words: Uint32Array, at: number): boolean {
  // 0000:0000, 0000:0000, 0000:ffff as words of the machine, which is little-endian.
  return words[at] === 0 && words[at + 1] === 0 && words[at + 2] === 0xffff0000;
}
