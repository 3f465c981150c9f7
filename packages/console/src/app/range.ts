/** The stretch of time that a view asks for, and the presets of the time bar. */
import type { Filter } from "./query.ts";

/** Without a choice the page shows what the node has in memory, and follows. */
export const presets = ["15m", "1h", "6h", "24h", "7d"] as const;
export type Preset = (typeof presets)[number];

export interface Range {
  readonly fromMs: number;
  readonly toMs: number;
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Absolute times as they are, durations back from now. Undefined where nothing is said or it has no meaning. */
export function momentMs(text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (/^(\d+(\.\d+)?(ms|[smhdw]))+$/.test(text)) {
    let back = 0;
    for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|[smhdw])/g))
      back += Number(value) * (unitMs[unit as string] as number);
    return nowMs - back;
  }
  const at = Date.parse(text);
  return Number.isNaN(at) ? undefined : at;
}

/** What `since` and `until` mean now; undefined without `since`, for then nobody knows where it begins. */
export function rangeOf({ since, until }: Filter, nowMs: number): Range | undefined {
  const fromMs = momentMs(since, nowMs);
  const toMs = momentMs(until, nowMs) ?? nowMs;
  return fromMs === undefined || fromMs >= toMs ? undefined : { fromMs, toMs };
}

/** Which choice of the time bar a filter stands for. */
export function choiceOf({ since, until }: Filter): Preset | "live" | "custom" {
  if (since === undefined && until === undefined) return "live";
  const preset = presets.find((name) => name === since);
  return until === undefined && preset !== undefined ? preset : "custom";
}

/** How long the stretches are together, in ms; what lies in several counts once. */
export function coveredMs(stretches: readonly { readonly from: string; readonly to: string }[]): number {
  const sorted = stretches
    .map(({ from, to }) => [Date.parse(from), Date.parse(to)] as const)
    .sort(([a], [b]) => a - b);
  let total = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const [from, to] of sorted) {
    total += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return total;
}

/** A time as the URL says it: to the second where it is one. */
export function isoSecond(ms: number): string {
  return new Date(ms).toISOString().replace(".000Z", "Z");
}

/** A time as `<input type="datetime-local">` has it: in the viewer's zone, without saying so. */
export function localInput(ms: number): string {
  const at = new Date(ms);
  const zoned = new Date(ms - at.getTimezoneOffset() * 60_000);
  return zoned.toISOString().slice(0, 19);
}
