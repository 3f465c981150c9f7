import { expect, test } from "vitest";
import { systemClock } from "./clock.ts";

test("the system's clock is the wall's in milliseconds and the kernel's monotonic one in nanoseconds", () => {
  const wall = Date.now();
  expect(systemClock.nowMs()).toBeGreaterThanOrEqual(wall);
  const before = process.hrtime.bigint();
  const now = systemClock.monotonicNs();
  expect(now).toBeGreaterThanOrEqual(before);
  expect(process.hrtime.bigint()).toBeGreaterThanOrEqual(now);
});
