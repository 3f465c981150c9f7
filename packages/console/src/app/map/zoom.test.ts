import { expect, test } from "vitest";
import { whole, zoomAt } from "./zoom.ts";

test("the point under the pointer stays there", () => {
  const at = { x: 300, y: 40 };
  const zoom = zoomAt(zoomAt(whole, 3, { x: 10, y: 10 }), 2, at);
  const before = zoomAt(whole, 3, { x: 10, y: 10 });
  const inside = { x: (at.x - before.x) / before.scale, y: (at.y - before.y) / before.scale };
  expect(inside.x * zoom.scale + zoom.x).toBeCloseTo(at.x, 9);
  expect(inside.y * zoom.scale + zoom.y).toBeCloseTo(at.y, 9);
});

test("it neither shrinks to a dot nor grows without end", () => {
  expect(zoomAt(whole, 1e-9, { x: 0, y: 0 }).scale).toBe(0.5);
  expect(zoomAt(whole, 1e9, { x: 0, y: 0 }).scale).toBe(8);
});
