import { expect, test } from "vitest";
import { createUndecided } from "./undecided.ts";

test("what was told first is handed over first, once, and counted until then", () => {
  const undecided = createUndecided();
  for (let slot = 0; slot < 3000; slot++) undecided.add(slot, Float64Array.of(1, 0, slot, 2));
  expect([undecided.count, undecided.packets]).toEqual([3000, 3000]);
  const settled: number[][] = [];
  undecided.settle(2, (slot, delta) => settled.push([slot, ...delta]));
  expect(settled).toEqual([
    [0, 1, 0, 0, 2],
    [1, 1, 0, 1, 2],
  ]);
  expect([undecided.count, undecided.packets]).toEqual([2998, 2998]);
  undecided.settle(undecided.count, (slot) => settled.push([slot]));
  expect(settled.at(-1)).toEqual([2999]);
  expect([undecided.count, undecided.packets, undecided.bytes]).toEqual([0, 0, 0]);
});
