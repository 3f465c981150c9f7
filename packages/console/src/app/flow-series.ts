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

export interface FlowPoints {
  readonly stepSeconds: number;
  /** Middles of the buckets; null where the bucket is not wholly known. */
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

/** O(flows + flows × buckets that each spans). */
export function flowPoints({ rows, range, known, loadedFromMs }: FlowsOfRange): FlowPoints {
  const stepMs = niceStep((range.toMs - range.fromMs) / buckets);
  const fromMs = Math.floor(range.fromMs / stepMs) * stepMs;
  const length = Math.max(1, Math.ceil((range.toMs - fromMs) / stepMs));
  const bytes = new Float64Array(length);
  const started = new Float64Array(length);
  const at = (ms: number): number => Math.floor((ms - fromMs) / stepMs);
  for (const { flow, startMs, endMs } of rows) {
    const total = flow.bytes.sent + flow.bytes.received;
    const [first, last] = [at(startMs), at(endMs)];
    if (first >= 0 && first < length) started[first] = (started[first] as number) + 1;
    if (first === last) {
      if (first >= 0 && first < length) bytes[first] = (bytes[first] as number) + total;
      continue;
    }
    const perMs = total / (endMs - startMs);
    for (let bucket = Math.max(first, 0); bucket <= Math.min(last, length - 1); bucket++) {
      const begin = Math.max(startMs, fromMs + bucket * stepMs);
      const end = Math.min(endMs, fromMs + (bucket + 1) * stepMs);
      bytes[bucket] = (bytes[bucket] as number) + perMs * (end - begin);
    }
  }
  const gaps = gapsOf(range, loadedFromMs, known);
  const unknown = (bucket: number): boolean => {
    const begin = fromMs + bucket * stepMs;
    return gaps.some(([from, to]) => from * 1000 < begin + stepMs && begin < to * 1000);
  };
  /** The last bucket may not be over yet. */
  const perSecond = (sums: Float64Array): (number | null)[] =>
    Array.from(sums, (sum, bucket) => {
      const lengthMs = Math.min(stepMs, range.toMs - (fromMs + bucket * stepMs));
      return unknown(bucket) ? null : (sum / lengthMs) * 1000;
    });
  return {
    stepSeconds: stepMs / 1000,
    seconds: Array.from(bytes, (_, bucket) => (fromMs + (bucket + 0.5) * stepMs) / 1000),
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
  return spans.map(([from, to]) => [from / 1000, to / 1000]);
}

/** The least of 1, 2, 5, 10, 15, 30 seconds, minutes, … that is no shorter. */
function niceStep(ms: number): number {
  const seconds = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];
  return (seconds.find((step) => step * 1000 >= ms) ?? Math.ceil(ms / 86_400_000) * 86_400) * 1000;
}
