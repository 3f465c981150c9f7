import fc from "fast-check";
import { expect, test } from "vitest";
import { editDistance, nearest } from "./nearest.ts";

test.each([
  ["interfaces", "interface", 1],
  ["kitten", "sitting", 3],
  ["ab", "ba", 1],
  ["", "abc", 3],
  ["ca", "abc", 3],
])("%s and %s are %i edits apart", (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
});

test("the distance is symmetric, zero for equal words only, and at most the longer length", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
      const distance = editDistance(a, b);
      expect(distance).toBe(editDistance(b, a));
      expect(distance === 0).toBe(a === b);
      expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
    }),
  );
});

test("what resembles nothing has no nearest", () => {
  expect(nearest("zzzzzz", ["listen", "log_level"])).toBeUndefined();
  expect(nearest("loglevel", ["listen", "log_level"])).toBe("log_level");
});
