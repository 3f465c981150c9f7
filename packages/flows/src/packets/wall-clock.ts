/**
 * Times of the monotonic clock as times of the wall, to the microsecond, although that is told in milliseconds only:
 * packets a few microseconds apart must not change their order between two readings.
 */
import type { Clock } from "@x0tta6bl4/core";

const MS = 1_000_000n;

export interface WallClock {
  /** Nanoseconds since 1970. */
  at(monotonicNs: bigint): bigint;
  /** Follows the clock where it was set or runs at another rate. */
  adjust(): void;
}

/** Takes a millisecond: until the wall clock's next tick. */
export function wallClock(clock: Clock): WallClock {
  const sample = (): bigint => BigInt(Math.floor(clock.nowMs())) * MS - clock.monotonicNs();
  // A sample is up to a millisecond too low; right after a tick it is exact.
  let offset = sample();
  for (const end = clock.monotonicNs() + MS; clock.monotonicNs() < end; ) {
    const next = sample();
    if (next > offset) offset = next;
  }
  return {
    at: (monotonicNs) => monotonicNs + offset,
    adjust() {
      const now = sample();
      if (now > offset) offset = now;
      // Lower than the tick alone makes it: the clock was set back.
      else if (offset - now > 2n * MS) offset = now + MS / 2n;
    },
  };
}
