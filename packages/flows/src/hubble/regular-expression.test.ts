import fc from "fast-check";
import { expect, test } from "vitest";
import { expressionLimits, parseExpression } from "./regular-expression.ts";

/** Patterns in the part of the syntax that JavaScript shares, over a small alphabet so that they match at times. */
const pattern = fc.letrec<{ part: string }>((tie) => ({
  part: fc.oneof(
    { depthSize: "small", withCrossShrink: true },
    fc.constantFrom("a", "b", "ab", ".", "[ab]", "[^a]", "\\d", "\\w", "\\.", "^", "$", "[a-c1]", "1"),
    fc.tuple(tie("part"), tie("part")).map(([a, b]) => a + b),
    fc.tuple(tie("part"), tie("part")).map(([a, b]) => `(${a}|${b})`),
    fc
      .tuple(tie("part"), fc.constantFrom("*", "+", "?", "{2}", "{0,2}", "{1,}", "*?"))
      .map(([a, times]) => `(?:${a})${times}`),
  ),
})).part;

test("what matches is what JavaScript's own expressions match", () => {
  fc.assert(
    fc.property(
      pattern,
      fc.array(fc.string({ unit: fc.constantFrom("a", "b", "c", "1", ".", "\n"), maxLength: 8 }), {
        maxLength: 5,
      }),
      (source, texts) => {
        const matches = parseExpression(source);
        for (const text of texts)
          expect([text, matches(text)]).toEqual([text, new RegExp(source, "u").test(text)]);
      },
    ),
    { numRuns: 3000, seed: 5 },
  );
});

test.each<[string, string, boolean]>([
  ["^/api/v\\d+/[a-z]+$", "/api/v2/users", true],
  ["^/api/v\\d+/[a-z]+$", "/api/v2/users/7", false],
  ["(?i)EXAMPLE\\.org", "www.Example.ORG.", true],
  ["\\Awww", "www.example.org", true],
  ["org\\.\\z", "example.org.", true],
  ["[\\d.]+", "7.1", true],
  ["[]a]", "]", true],
  ["a{,2}", "a{,2}", true],
  ["größe", "größe.example", true],
  ["^.$", "😀", true],
  ["", "anything", true],
])("%j in %j: %s", (source, text, expected) => {
  expect(parseExpression(source)(text)).toBe(expected);
});

test.each<[string, RegExp]>([
  ["(a", /not closed/],
  ["a)", /without "\("/],
  ["[a", /not closed/],
  ["*a", /nothing stands before/],
  ["a\\", /ends with a backslash/],
  ["\\b", /not known/],
  ["(?P<x>a)", /only "\(\?:"/],
  ["[[:alpha:]]", /not known/],
  ["[z-a]", /no range/],
  ["a{3,2}", /does not repeat/],
  ["a{5000}", /does not repeat/],
  ["x".repeat(expressionLimits.pattern + 1), /longer than/],
  ["((a{100}){100}){100}", /instructions/],
  ["(".repeat(40) + ")".repeat(40), /deeper than/],
])("%j is refused", (source, reason) => {
  expect(() => parseExpression(source)).toThrow(reason);
});

test("what would keep a backtracking matcher busy for ages is soon over", () => {
  expect(parseExpression("^(a*)*(a|aa)*(.*){20}b$")("a".repeat(5000))).toBe(false);
});
