import { expect, test } from "vitest";
import { csv, niceTop, Series } from "./series.ts";
import type { Totals } from "./shapes.ts";

const start = 1_700_000_010;

function point(second: number, bytesPerSecond = 100): Totals {
  return {
    time: new Date((start + second) * 1000 + 40).toISOString(),
    bytesPerSecond,
    packetsPerSecond: bytesPerSecond / 100,
    activeFlows: 1,
    lostPackets: 0,
    lostEvents: 0,
  };
}

test("a missing stretch breaks the line", () => {
  const series = new Series();
  series.put([point(0), point(1), point(5), point(6)]);
  const { seconds, bytes } = series.columns();
  expect(seconds.map((second) => second - start)).toEqual([0, 1, 2, 5, 6]);
  expect(bytes).toEqual([100, 100, null, 100, 100]);
  expect(series.gaps(start + 7)).toEqual([[start + 1, start + 5]]);
});

test("silence up to now is a gap too, one late point is not", () => {
  const series = new Series();
  series.put([point(0), point(1), point(3)]);
  expect(series.gaps(start + 6)).toEqual([]);
  expect(series.gaps(start + 13)).toEqual([[start + 3, start + 13]]);
});

test("points older than the span are let go; a repeated second is replaced", () => {
  const series = new Series();
  series.put([point(0), point(1)]);
  series.put([point(601), point(601, 700)]);
  expect(series.columns().seconds.map((second) => second - start)).toEqual([1, 2, 601]);
  expect(series.latest?.bytesPerSecond).toBe(700);
});

test("the point at a moment, none inside a gap", () => {
  const series = new Series();
  series.put([point(0, 1), point(9, 2)]);
  expect(series.at(start + 0.4)?.bytesPerSecond).toBe(1);
  expect(series.at(start + 5)).toBeUndefined();
});

test("the table's slots hold means, and null where nothing is known", () => {
  const series = new Series();
  series.put([point(0, 100), point(1, 300), point(60, 500)]);
  expect(
    series
      .slots()
      .slice(0, 3)
      .map((slot) => [slot.second - start, slot.bytes]),
  ).toEqual([
    [60, 500],
    [30, null],
    [0, 200],
  ]);
});

test.each([
  [0, 1],
  [0.3, 0.4],
  [1, 1],
  [3, 4],
  [5, 6],
  [9, 10],
  [13_000, 20_000],
])("the axis for %d ends at %d", (max, top) => {
  expect(niceTop(max)).toBeCloseTo(top, 12);
});

test("the points as CSV: a gap is a line without value", () => {
  const points = { name: "bytes_per_second", seconds: [1_700_000_000, 1_700_000_001], values: [52.5, null] };
  expect(csv(points)).toBe(
    "time,bytes_per_second\n2023-11-14T22:13:20.000Z,52.5\n2023-11-14T22:13:21.000Z,\n",
  );
});
