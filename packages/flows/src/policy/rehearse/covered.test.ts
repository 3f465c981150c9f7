import { expect, test } from "vitest";
import { coveredHours } from "./covered.ts";

const at = (minutes: number): string => new Date(Date.UTC(2026, 10, 22) + minutes * 60_000).toISOString();
const gap = (from: number, to: number) => ({ from: at(from), to: at(to), reason: "" });

test("hours are those of the time that is covered, less its gaps, each once", () => {
  const of = (...gaps: ReturnType<typeof gap>[]): number =>
    coveredHours({ from: at(0), to: at(180), lostPackets: 0, gaps });
  expect(of()).toBe(3);
  expect(of(gap(30, 60))).toBe(2.5);
  expect(of(gap(40, 60), gap(30, 60), gap(45, 90))).toBe(2);
  expect(of(gap(0, 180))).toBe(0);
});
