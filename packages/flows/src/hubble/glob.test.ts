import fc from "fast-check";
import { expect, test } from "vitest";
import { matchesGlob, parseGlob } from "./glob.ts";

test("a star stands for any text", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "b", ".", "*"), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (pattern, name) => {
      const expression = new RegExp(`^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*")}$`);
      expect(matchesGlob(pattern, name)).toBe(expression.test(name));
    }),
    { numRuns: 3000, seed: 2 },
  );
});

test.each([
  ["*.example.org", "*.example.org"],
  [" Example.ORG. ", "example.org"],
])("%j is %j", (text, pattern) => {
  expect(parseGlob(text)).toBe(pattern);
});

test.each(["", " ", ".", "a b", "a/b", "ä", "x".repeat(513)])("%j is refused", (text) => {
  expect(() => parseGlob(text)).toThrow(RangeError);
});
