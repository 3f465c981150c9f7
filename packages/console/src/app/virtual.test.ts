import fc from "fast-check";
import { expect, test } from "vitest";
import { scrollInto, windowOf } from "./virtual.ts";

test.each([
  [0, { first: 0, end: 33 }],
  [-300, { first: 0, end: 21 }],
  [24 * 100, { first: 92, end: 133 }],
  [24 * 99_980, { first: 99_972, end: 100_000 }],
])("at offset %d", (offset, expected) => {
  expect(windowOf(offset, 600, 24, 100_000)).toEqual(expected);
});

test("every visible line is drawn, and no more than the viewport needs", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5000, max: 200_000 }),
      fc.nat(2000),
      fc.nat(5000),
      (offset, height, length) => {
        const { first, end } = windowOf(offset, height, 24, length);
        for (let line = 0; line < length; line += 7) {
          const visible = line * 24 + 24 > offset && line * 24 < offset + height;
          if (visible) expect(line >= first && line < end).toBe(true);
        }
        expect(end - first).toBeLessThanOrEqual(height / 24 + 20);
      },
    ),
  );
});

test("scrolling brings a line just inside", () => {
  expect(scrollInto(5, 0, 600, 24)).toBe(0);
  expect(scrollInto(5, 240, 600, 24)).toBe(-120);
  expect(scrollInto(30, 0, 600, 24)).toBe(144);
});
