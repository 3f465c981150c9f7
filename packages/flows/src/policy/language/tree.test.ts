import { expect, test } from "vitest";
import { scalarKind } from "./tree.ts";

test.each([
  ["80", "number"],
  ["-1.5e3", "number"],
  [".5", "number"],
  ["7.", "number"],
  ["0080", "ambiguous"],
  ["1.2.3", "text"],
  ["1e", "text"],
])("%s is a %s", (text, kind) => expect(scalarKind(text, true)).toBe(kind));

test("a scalar of digits is read in steps that grow with its length, not with the square of it", () => {
  // The square would be hours.
  expect(scalarKind(`${"1".repeat(10_000_000)}x`, true)).toBe("text");
});
