import { expect, test } from "vitest";
import { lineBetween, nextTowards, strokeOf } from "./geometry.ts";

const box = { width: 104, height: 30 };

test("a line begins and ends at the boxes' edges", () => {
  const [from, to] = lineBetween({ x: 0, y: 0 }, { x: 400, y: 0 }, box);
  expect(from).toEqual({ x: box.width / 2, y: 0 });
  expect(to).toEqual({ x: 400 - box.width / 2 - 3, y: 0 });
});

test("boxes that touch are joined in their middle, never backwards", () => {
  const [from, to] = lineBetween({ x: 0, y: 0 }, { x: 10, y: 0 }, box);
  expect(from).toEqual(to);
});

test("a line is never wider than the text beside it", () => {
  expect([0, 1000, 1e5, 1e15].map(strokeOf)).toEqual([1, 1, 2, 5]);
});

test("arrow keys go to the nearest box ahead", () => {
  const places = Object.entries({
    right: { x: 100, y: 5 },
    aside: { x: 60, y: 80 },
    left: { x: -50, y: 0 },
  });
  const from = { x: 0, y: 0 };
  expect(nextTowards("ArrowRight", from, places)).toBe("right");
  expect(nextTowards("ArrowDown", from, places)).toBe("aside");
  expect(nextTowards("ArrowLeft", from, places)).toBe("left");
  expect(nextTowards("ArrowUp", from, places)).toBeUndefined();
  expect(nextTowards("x", from, places)).toBeUndefined();
});
