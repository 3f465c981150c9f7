/**
 * The flows of a range as points of time, where the node keeps no rates: how many began, and their bytes, laid
 * evenly over the time that each flow took. What has not been loaded, and what the node has lost, is a gap.
 */
import type { Range } from "./range.ts";
import type { Row } from "./rows.ts";
import type { Span } from "./series.ts";
import type { Gap } from "./shapes.ts";

/** One point for about four pixels of a wide chart. */
const buckets = 240;

/** A rate from less of its bucket would be a guess. */
const leastKnown = 0.2;

export interface FlowPoints {
  readonly stepSeconds: number;
  /** Middles of the buckets; null where too little of the bucket is known. */
  readonly seconds: readonly number[];
  readonly bytes: readonly (number | null)[];
  readonly started: readonly (number | null)[];
  readonly gaps: readonly Span[];
}

export interface FlowsOfRange {
  readonly rows: Iterable<Pick<Row, "flow" | "startMs" | "endMs">>;
  readonly range: Range;
  /** What the node says of its record; without it everything is taken for known. */
  readonly known?: { readonly fromMs: number; readonly toMs: number; readonly gaps: readonly Gap[] };
  /** Before this the flows are not loaded. */
  readonly loadedFromMs: number;
}

/** O(flows × buckets that each spans + buckets × gaps). */
export function flowPoints({ rows, range, known, loadedFromMs }: FlowsOfRange): FlowPoints {
  const stepMs = niceStep((range.toMs - range.fromMs) / buckets);
  const fromMs = Math.floor(range.fromMs / stepMs) * stepMs;
  const length = Math.max(1, Math.ceil((range.toMs - fromMs) / stepMs));
  const bytes = new Float64Array(length);
  const started = new Float64Array(length);
  const at = (ms: number): number => Math.min(Math.floor((ms - fromMs) / stepMs), length - 1);
  for (const { flow, startMs, endMs } of rows) {
    if (endMs < range.fromMs || startMs > range.toMs) continue;
    const total = flow.bytes.sent + flow.bytes.received;
    if (startMs >= range.fromMs) started[at(startMs)] = (started[at(startMs)] as number) + 1;
    if (startMs === endMs) {
      bytes[at(startMs)] = (bytes[at(startMs)] as number) + total;
      continue;
    }
    const perMs = total / (endMs - startMs);
    const [first, last] = [Math.max(startMs, range.fromMs), Math.min(endMs, range.toMs)];
    for (let bucket = at(first); bucket <= at(last); bucket++) {
      const begin = Math.max(first, fromMs + bucket * stepMs);
      const end = Math.min(last, fromMs + (bucket + 1) * stepMs);
      bytes[bucket] = (bytes[bucket] as number) + perMs * (end - begin);
    }
  }
  const gaps = gapsOf(range, loadedFromMs, known);
  /** By what is known of each: the last bucket may not be over, others are in part a gap. */
  const perSecond = (sums: Float64Array): (number | null)[] =>
    Array.from(sums, (sum, bucket) => {
      const begin = Math.max(range.fromMs, fromMs + bucket * stepMs);
      const end = Math.min(range.toMs, fromMs + (bucket + 1) * stepMs);
      const missing = gaps.reduce(
        (total, [from, to]) => total + Math.max(0, Math.min(to * 1000, end) - Math.max(from * 1000, begin)),
        0,
      );
      const knownMs = end - begin - missing;
      return knownMs < (end - begin) * leastKnown ? null : (sum / knownMs) * 1000;
    });
  return {
    stepSeconds: stepMs / 1000,
    // The middle of what the range has of each: uPlot scales by what lies inside the picture.
    seconds: Array.from(bytes, (_, bucket) => {
      const begin = Math.max(range.fromMs, fromMs + bucket * stepMs);
      return (begin + Math.min(range.toMs, fromMs + (bucket + 1) * stepMs)) / 2000;
    }),
    bytes: perSecond(bytes),
    started: perSecond(started),
    gaps,
  };
}

function gapsOf(range: Range, loadedFromMs: number, known: FlowsOfRange["known"]): readonly Span[] {
  const beginMs = Math.max(loadedFromMs, known?.fromMs ?? range.fromMs);
  const spans: [number, number][] = [];
  if (beginMs > range.fromMs) spans.push([range.fromMs, Math.min(beginMs, range.toMs)]);
  if (known !== undefined && known.toMs < range.toMs) spans.push([Math.max(known.toMs, beginMs), range.toMs]);
  for (const { from, to } of known?.gaps ?? []) {
    const span: [number, number] = [
      Math.max(Date.parse(from), range.fromMs),
      Math.min(Date.parse(to), range.toMs),
    ];
    if (span[0] < span[1]) spans.push(span);
  }
  return merged(spans).map(([from, to]) => [from / 1000, to / 1000]);
}

/** In order of time, and none over another. */
function merged(spans: readonly Span[]): readonly Span[] {
  const found: [number, number][] = [];
  for (const [from, to] of spans.toSorted(([a], [b]) => a - b)) {
    const last = found.at(-1);
    if (last !== undefined && from <= last[1]) last[1] = Math.max(last[1], to);
    else found.push([from, to]);
  }
  return found;
}

/** The least of 1, 2, 5, 10, 15, 30 seconds, minutes, … that is no shorter. */
function niceStep(ms: number): number {
  const seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  return (seconds.find((step) => step * 1000 >= ms) ?? Math.ceil(ms / 86_400_000) * 86_400) * 1000;
}
