import { expect, test } from "vitest";
import { choiceOf, coveredMs, isoSecond, localInput, momentMs, rangeOf } from "./range.ts";

const now = Date.UTC(2026, 0, 31, 8);

test.each([
  ["15m", now - 900_000],
  ["1h30m", now - 5_400_000],
  ["1.5h", now - 5_400_000],
  ["250ms", now - 250],
  ["2026-01-31T07:00:00Z", now - 3_600_000],
  ["soon", undefined],
])("%s is a moment", (text, expected) => {
  expect(momentMs(text, now)).toBe(expected);
});

test("a range needs a beginning before its end", () => {
  expect(rangeOf({ since: "1h" }, now)).toEqual({ fromMs: now - 3_600_000, toMs: now });
  expect(rangeOf({ since: "2h", until: "1h" }, now)).toEqual({
    fromMs: now - 7_200_000,
    toMs: now - 3_600_000,
  });
  expect(rangeOf({ until: "1h" }, now)).toBeUndefined();
  expect(rangeOf({ since: "1h", until: "2h" }, now)).toBeUndefined();
});

test("the time bar knows its presets, and what is none of them", () => {
  expect(choiceOf({ port: "53" })).toBe("live");
  expect(choiceOf({ since: "6h" })).toBe("6h");
  expect(choiceOf({ since: "6h", until: "1h" })).toBe("custom");
  expect(choiceOf({ since: "61m" })).toBe("custom");
});

test("stretches that overlap count once", () => {
  const stretch = (from: number, to: number) => ({ from: isoSecond(now + from), to: isoSecond(now + to) });
  expect(coveredMs([])).toBe(0);
  expect(
    coveredMs([stretch(4000, 9000), stretch(0, 5000), stretch(1000, 2000), stretch(10_000, 11_000)]),
  ).toBe(10_000);
});

test("a time survives the field that edits it", () => {
  expect(Date.parse(localInput(now))).toBe(now);
  expect(isoSecond(now)).toBe("2026-01-31T08:00:00Z");
  expect(isoSecond(now + 250)).toBe("2026-01-31T08:00:00.250Z");
});
