import { expect, test } from "vitest";
import { flowPoints } from "./flow-series.ts";
import { flow } from "./testing/flow.ts";

const fromMs = 1_700_000_400_000;
const range = { fromMs, toMs: fromMs + 240_000 };
const row = (startMs: number, endMs: number, bytes: number) => ({
  flow: flow({ bytes: { sent: bytes, received: 0 } }),
  startMs: fromMs + startMs,
  endMs: fromMs + endMs,
});

test("each flow begins once, and its bytes lie evenly over its time", () => {
  const points = flowPoints({ rows: [row(0, 4000, 400), row(1000, 1000, 50)], range, loadedFromMs: 0 });
  expect(points.stepSeconds).toBe(1);
  expect(points.started.slice(0, 3)).toEqual([1, 1, 0]);
  expect(points.bytes.slice(0, 6)).toEqual([100, 150, 100, 100, 0, 0]);
  expect(points.gaps).toEqual([]);
});

test("bytes before the range and after it are not in it", () => {
  const points = flowPoints({ rows: [row(-10_000, 10_000, 2000)], range, loadedFromMs: 0 });
  expect(points.bytes.reduce<number>((sum, value) => sum + (value ?? 0), 0)).toBe(1000);
  expect(points.started[0]).toBe(0);
});

test("what is lost, not kept or not loaded is a gap, never a zero", () => {
  const at = (ms: number): string => new Date(fromMs + ms).toISOString();
  const known = {
    fromMs: fromMs + 10_000,
    toMs: range.toMs - 5000,
    gaps: [
      { from: at(101_500), to: at(103_000), reason: "full" },
      { from: at(100_500), to: at(102_000), reason: "full" },
    ],
  };
  const points = flowPoints({ rows: [], range, known, loadedFromMs: fromMs + 20_000 });
  const second = fromMs / 1000;
  expect(points.gaps).toEqual([
    [second, second + 20],
    [second + 100.5, second + 103],
    [second + 235, second + 240],
  ]);
  expect(points.bytes.map((value) => value === null).lastIndexOf(true)).toBe(239);
  expect([19, 20, 100, 101, 102, 103].map((index) => points.bytes[index])).toEqual([
    null,
    0,
    0,
    null,
    null,
    0,
  ]);
});

test("a bucket that is not over is measured by what has passed of it", () => {
  const points = flowPoints({
    rows: [row(240_000, 240_200, 100)],
    range: { fromMs, toMs: range.toMs + 500 },
    loadedFromMs: 0,
  });
  expect(points.stepSeconds).toBe(2);
  expect(points.bytes.at(-1)).toBe(200);
  expect(points.seconds.at(-1)).toBe(range.toMs / 1000 + 0.25);
});
