import { expect, test } from "vitest";
import { wallClock } from "./wall-clock.ts";

/** A wall clock that tells milliseconds, `aheadNs` ahead of the monotonic one, which each reading moves on. */
function clockOf(stepNs: bigint, aheadNs: bigint) {
  let monotonicNs = 1_000_000_000_000n;
  const clock = {
    ahead: aheadNs,
    nowMs: () => Number((monotonicNs + clock.ahead) / 1_000_000n),
    monotonicNs: () => {
      monotonicNs += stepNs;
      return monotonicNs;
    },
  };
  return clock;
}

const difference = (a: bigint, b: bigint): number => Math.abs(Number(a - b));

test("it is exact to a reading, and stays so", () => {
  const clock = clockOf(400n, 1_700_000_000_123_456_789n);
  const wall = wallClock(clock);
  const at = 5_000_000_000n;
  const first = wall.at(at);
  expect(difference(first, at + clock.ahead)).toBeLessThan(2000);
  for (let round = 0; round < 10_000; round++) {
    wall.adjust();
    const next = wall.at(at);
    expect(next).toBeGreaterThanOrEqual(first);
    expect(difference(next, at + clock.ahead)).toBeLessThan(2000);
  }
});

test.each([3_600_000_000_000n, -3_600_000_000_000n])("a clock that is set by %d ns is followed", (step) => {
  const clock = clockOf(400n, 1_700_000_000_123_456_789n);
  const wall = wallClock(clock);
  clock.ahead += step;
  wall.adjust();
  expect(difference(wall.at(0n), clock.ahead)).toBeLessThan(1_000_000);
});
