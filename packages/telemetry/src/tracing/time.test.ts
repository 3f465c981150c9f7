import type { HrTime } from "@opentelemetry/api";
import fc from "fast-check";
import { expect, test } from "vitest";
import { TimeAnchor } from "./time.ts";

const written = (anchor: TimeAnchor, time: number | HrTime): bigint => {
  const bytes = Buffer.alloc(8);
  anchor.write(time, bytes, 0);
  return bytes.readBigUInt64LE();
};

test("seconds and nanoseconds are written exactly", () => {
  const anchor = new TimeAnchor();
  fc.assert(
    fc.property(fc.nat(2 ** 31 - 1), fc.nat(7), fc.nat(999_999_999), (low, high, nanos) => {
      const seconds = high * 2 ** 31 + low;
      expect(written(anchor, [seconds, nanos])).toBe(BigInt(seconds) * 1_000_000_000n + BigInt(nanos));
    }),
  );
});

test("a reading of the monotonic clock is written as Unix time, to the nanosecond", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 4_000_000_000_000 }), fc.nat(2 ** 32), (wallMs, nanos) => {
      const anchor = new TimeAnchor({ monotonicMs: () => 0, wallMs: () => wallMs });
      expect(written(anchor, nanos / 1e6)).toBe(BigInt(wallMs) * 1_000_000n + BigInt(nanos));
    }),
  );
});

test("a step of the wall clock moves what is written and not how long it took", () => {
  let [monotonicMs, wallMs] = [1000, 1_700_000_000_000];
  const anchor = new TimeAnchor({ monotonicMs: () => monotonicMs, wallMs: () => wallMs });
  const start = anchor.now();
  monotonicMs += 2000;
  wallMs += 3_602_000;
  const end = anchor.now();
  expect(written(anchor, end)).toBe(1_700_003_602_000n * 1_000_000n);
  expect(written(anchor, end) - written(anchor, start)).toBe(2_000_000_000n);
});

test.each([
  ["Unix milliseconds", 1_700_000_000_123.5, 1_700_000_000_123_500_000n],
  ["a date", new Date(1_700_000_000_123), 1_700_000_000_123_000_000n],
  ["a pair", [5, 6] as HrTime, 5_000_000_006n],
  ["a reading of the monotonic clock", 250, 1_000_250_000_000n],
  ["a time before 1970", new Date(-1), 1_000_500_000_000n],
  ["no number", Number.NaN, 1_000_500_000_000n],
  ["a negative pair", [-1, 0] as HrTime, 1_000_500_000_000n],
  ["nothing", undefined, 1_000_500_000_000n],
])("takes %s", (_, time, nanos) => {
  const anchor = new TimeAnchor({ monotonicMs: () => 500, wallMs: () => 1_000_500 });
  expect(written(anchor, anchor.instant(time))).toBe(nanos);
});

test("compares times of both kinds", () => {
  const anchor = new TimeAnchor({ monotonicMs: () => 500, wallMs: () => 1_000_500 });
  expect(anchor.isBefore([1000, 0], 1)).toBe(true);
  expect(anchor.isBefore(1, [1000, 0])).toBe(false);
  expect(anchor.isBefore([1000, 1], [1000, 2])).toBe(true);
  expect(anchor.isBefore(2, 2)).toBe(false);
});
