import { expect, test } from "vitest";
import { timeLabels, timeTicks } from "./axis.ts";

const noon = new Date(2026, 0, 31, 12).getTime() / 1000;

test.each([
  ["ten minutes", 600, 440, 120],
  ["a quarter of an hour", 900, 440, 300],
  ["an hour on a narrow screen", 3600, 300, 900],
  ["a day", 86_400, 440, 21_600],
  ["a week", 604_800, 1000, 86_400],
])("%s has labels every so often", (_, span, width, step) => {
  const ticks = timeTicks(noon - span, noon, width);
  expect(ticks.length).toBeGreaterThan(1);
  expect(ticks.slice(1).map((tick, index) => tick - (ticks[index] as number))).toEqual(
    ticks.slice(1).map(() => step),
  );
});

test("a midnight is a date, seconds show where minutes repeat", () => {
  expect(timeLabels([noon - 43_200, noon])).toEqual(["31 Jan", "12:00"]);
  expect(timeLabels([noon, noon + 30])).toEqual(["12:00:00", "12:00:30"]);
});
