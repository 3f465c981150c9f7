/** The last minutes of the whole host, one point a second; a missing stretch stays missing. */
import type { Totals } from "./shapes.ts";

export const spanSeconds = 600;
/** Points come once a second; a longer distance than this is a gap, not a late point. */
const gapSeconds = 2.5;

/** A stretch of time, in seconds. */
export type Span = readonly [from: number, to: number];

/** What a chart draws, whoever made it. */
export interface ChartData {
  /** Names the values in files: `bytes_per_second`. */
  readonly name: string;
  readonly seconds: readonly number[];
  /** null breaks the line. */
  readonly values: readonly (number | null)[];
  readonly gaps: readonly Span[];
  /** The edges of the picture, in seconds. */
  readonly from: number;
  readonly to: number;
}

/** Columns as uPlot reads them: seconds, then values; null breaks the line. */
export interface Columns {
  readonly seconds: readonly number[];
  readonly bytes: readonly (number | null)[];
  readonly packets: readonly (number | null)[];
}

export interface Slot {
  readonly second: number;
  /** Means of the slot; null where there is no point at all. */
  readonly bytes: number | null;
  /** Or what else the second chart counts. */
  readonly packets: number | null;
}

export class Series {
  #points = new Map<number, Totals>();
  #latest = Number.NEGATIVE_INFINITY;
  #revision = 0;

  /** Takes points in any order; a point of the same second replaces the one before. */
  put(points: Iterable<Totals>): void {
    for (const point of points) {
      const second = Math.round(Date.parse(point.time) / 1000);
      this.#points.set(second, point);
      this.#latest = Math.max(this.#latest, second);
    }
    this.#revision++;
    for (const second of this.#points.keys())
      if (second < this.#latest - spanSeconds) this.#points.delete(second);
  }

  /** Grows with every change. */
  get revision(): number {
    return this.#revision;
  }

  get latest(): Totals | undefined {
    return this.#points.get(this.#latest);
  }

  /** The point at a moment, none inside a gap. */
  at(seconds: number): Totals | undefined {
    const second = Math.round(seconds);
    return this.#points.get(second) ?? this.#points.get(second - 1) ?? this.#points.get(second + 1);
  }

  columns(): Columns {
    const seconds: number[] = [];
    const bytes: (number | null)[] = [];
    const packets: (number | null)[] = [];
    for (const second of this.#seconds()) {
      const before = seconds.at(-1);
      if (before !== undefined && second - before > gapSeconds) {
        seconds.push(before + 1);
        bytes.push(null);
        packets.push(null);
      }
      const point = this.#points.get(second) as Totals;
      seconds.push(second);
      bytes.push(point.bytesPerSecond);
      packets.push(point.packetsPerSecond);
    }
    return { seconds, bytes, packets };
  }

  /** Stretches without points, as pairs of seconds, up to `now`. */
  gaps(now: number): readonly Span[] {
    const found: [number, number][] = [];
    let before: number | undefined;
    for (const second of [...this.#seconds(), now]) {
      if (before !== undefined && second - before > gapSeconds + (second === now ? 2 : 0))
        found.push([before, second]);
      before = second;
    }
    return found;
  }

  /** The last minutes up to `now`, in seconds. */
  chart(column: "bytes" | "packets", now: number): ChartData {
    const columns = this.columns();
    return {
      name: `${column}_per_second`,
      seconds: columns.seconds,
      values: columns[column],
      gaps: this.gaps(now),
      from: now - spanSeconds,
      to: now,
    };
  }

  /** Newest first, for the table behind the charts. */
  slots(size: number = 30): readonly Slot[] {
    if (this.latest === undefined) return [];
    const slots: Slot[] = [];
    const newest = Math.floor(this.#latest / size) * size;
    for (let start = newest; start > newest - spanSeconds; start -= size) {
      const points = Array.from({ length: size }, (_, second) => this.#points.get(start + second));
      const seen = points.filter((point) => point !== undefined);
      const mean = (of: (point: Totals) => number): number | null =>
        seen.length === 0 ? null : seen.reduce((sum, point) => sum + of(point), 0) / seen.length;
      slots.push({
        second: start,
        bytes: mean((point) => point.bytesPerSecond),
        packets: mean((point) => point.packetsPerSecond),
      });
    }
    return slots;
  }

  #seconds(): number[] {
    return [...this.#points.keys()].sort((a, b) => a - b);
  }
}

/** The least of 1, 2, 4, 6, 8 times a power of ten that holds `max`: its half is as easy to read. */
export function niceTop(max: number): number {
  if (!(max > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return ([1, 2, 4, 6, 8, 10].find((step) => step * power >= max) ?? 10) * power;
}

/** One line a point; a gap is a line without value. */
export function csv({ name, seconds, values }: Pick<ChartData, "name" | "seconds" | "values">): string {
  const lines = seconds.map(
    (second, line) => `${new Date(second * 1000).toISOString()},${values[line] ?? ""}`,
  );
  return `time,${name}\n${lines.join("\n")}\n`;
}
