/**
 * Moments. A span that is told no time takes two readings of a clock that never steps; what they are in Unix time is
 * asked when the span is written, so that a step of the wall clock moves a span and never stretches it.
 */
import type { HrTime, TimeInput } from "@opentelemetry/api";

/** Milliseconds of the monotonic clock, or Unix time as seconds and nanoseconds. */
export type Instant = number | HrTime;

export interface TimeSource {
  /** Milliseconds since some moment, with fraction; never steps. */
  monotonicMs(): number;
  /** Milliseconds since the Unix epoch. */
  wallMs(): number;
}

export const systemTime: TimeSource = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** Below it, a difference of the clocks is the wall clock's resolution and the time between two readings. */
const STEP_MS = 10;
const CHECK_MS = 1000;
const NANOS = 1e9;
const WORD = 2 ** 32;

/** The monotonic clock's zero in Unix time. */
export class TimeAnchor {
  readonly #source: TimeSource;
  #zeroMs: number;
  /** `#zeroMs` as nanoseconds. */
  #high = 0;
  #low = 0;
  #checkedMs: number;

  constructor(source: TimeSource = systemTime) {
    this.#source = source;
    this.#checkedMs = source.monotonicMs();
    this.#zeroMs = source.wallMs() - this.#checkedMs;
    this.#split();
  }

  /** Now. Once a second it looks whether the wall clock was set. */
  now(): number {
    const now = this.#source.monotonicMs();
    if (now - this.#checkedMs > CHECK_MS) this.#check(now);
    return now;
  }

  /**
   * A time as a caller may give it: Unix milliseconds, a reading of `performance.now()`, a Date, seconds and
   * nanoseconds. What is no time is now.
   */
  instant(time: TimeInput | undefined): Instant {
    if (time === undefined) return this.now();
    // No process runs for 50 years, and nobody records what happened before 1970.
    if (typeof time === "number") {
      if (time <= this.#source.monotonicMs()) return time >= 0 ? time : this.now();
      return Number.isFinite(time) ? unixTime(time) : this.now();
    }
    if (time instanceof Date) return time.getTime() >= 0 ? unixTime(time.getTime()) : this.now();
    return isHrTime(time) ? time : this.now();
  }

  /** Whether `a` is before `b`. */
  isBefore(a: Instant, b: Instant): boolean {
    if (typeof a === "number" && typeof b === "number") return a < b;
    const [first, second] = [this.#unix(a), this.#unix(b)];
    return first[0] < second[0] || (first[0] === second[0] && first[1] < second[1]);
  }

  /** Writes Unix nanoseconds in eight bytes, little-endian. */
  write(instant: Instant, bytes: Uint8Array, at: number): void {
    let low: number;
    let high: number;
    if (typeof instant === "number") {
      const nanos = Math.round(instant * 1e6);
      low = this.#low + (nanos % WORD);
      high = this.#high + Math.floor(nanos / WORD);
    } else {
      const [seconds, nanos] = instant;
      // In halves of seconds, so that no product exceeds 2^53.
      const upper = Math.floor(seconds / 65_536) * NANOS;
      const lower = (seconds % 65_536) * NANOS + nanos;
      low = (upper % 65_536) * 65_536 + (lower % WORD);
      high = Math.floor(upper / 65_536) + Math.floor(lower / WORD);
    }
    high += Math.floor(low / WORD);
    bytes[at] = low;
    bytes[at + 1] = low / 256;
    bytes[at + 2] = low / 65_536;
    bytes[at + 3] = (low / 16_777_216) | 0;
    bytes[at + 4] = high;
    bytes[at + 5] = high >>> 8;
    bytes[at + 6] = high >>> 16;
    bytes[at + 7] = high >>> 24;
  }

  #unix(instant: Instant): HrTime {
    return typeof instant === "number" ? unixTime(this.#zeroMs + instant) : instant;
  }

  #check(now: number): void {
    this.#checkedMs = now;
    const zeroMs = this.#source.wallMs() - now;
    if (Math.abs(zeroMs - this.#zeroMs) <= STEP_MS) return;
    this.#zeroMs = zeroMs;
    this.#split();
  }

  #split(): void {
    const nanos = BigInt(Math.round(this.#zeroMs * 1000)) * 1000n;
    this.#high = Number(nanos >> 32n);
    this.#low = Number(nanos & 0xffff_ffffn);
  }
}

function isHrTime(time: unknown): time is HrTime {
  return Array.isArray(time) && time.length === 2 && time.every((part) => Number.isFinite(part) && part >= 0);
}

function unixTime(ms: number): HrTime {
  return [Math.trunc(ms / 1000), Math.round((ms % 1000) * 1e6)];
}
