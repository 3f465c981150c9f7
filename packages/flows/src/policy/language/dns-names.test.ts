import { expect, test } from "vitest";
import { nameMatches, parseName, parsePattern } from "./dns-names.ts";

test.each([
  ["WWW.Example.ORG", "www.example.org"],
  ["example.org.", "example.org"],
  ["_srv.a-b.c", "_srv.a-b.c"],
])("the name %s is %s", (text, name) => expect(parseName(text)).toEqual({ kind: "name", name }));

test.each(["", ".", "a..b", ".a", "*.a", "a b", "a/b", "ä.org", `${"a.".repeat(128)}`, "a\n"])(
  "%j is no name",
  (text) => expect(parseName(text)).toBeUndefined(),
);

test.each([
  ["*", "*"],
  ["**", "*"],
  ["***.", "*"],
  ["*.Example.org.", "*.example.org"],
  ["**.example.org", "**.example.org"],
  ["****.example.org", "**.example.org"],
  ["**example.org", "*example.org"],
  ["a.**.b", "a.*.b"],
  ["**.***.b", "**.*.b"],
])("the pattern %s is %s", (text, pattern) =>
  expect(parsePattern(text)).toEqual({ kind: "pattern", pattern }),
);

test.each(["", ".", "a..b", ".*", "a?", "[a]", "a*.b/c"])("%j is no pattern", (text) =>
  expect(parsePattern(text)).toBeUndefined(),
);

/** What Cilium's expressions match (pkg/fqdn/matchpattern). */
const matching: readonly [pattern: string, matched: readonly string[], passed: readonly string[]][] = [
  ["*", ["a", "a.b", "a.b.c"], ["a b", "\\195.b"]],
  [
    "*.example.org",
    ["www.example.org", "_a-1.example.org"],
    ["example.org", "a.b.example.org", "wwwexample.org"],
  ],
  [
    "**.example.org",
    ["www.example.org", "a.b.example.org"],
    ["example.org", "aexample.org", "a.example.org.b"],
  ],
  ["*example.org", ["example.org", "myexample.org"], ["www.example.org", "example.org.a"]],
  ["sub*.example.org", ["sub.example.org", "subway.example.org"], ["asub.example.org", "s.example.org"]],
  ["a*b*c", ["abc", "a1b2c", "abbcc"], ["ab.c", "acb", "abcd"]],
  ["*.*.org", ["a.b.org"], ["b.org", "a.b.c.org"]],
  ["**.a*.org", ["x.a.org", "x.y.ab.org"], ["a.org", "x.b.org"]],
];
test.each(matching)("%s", (text, matched, passed) => {
  const selector = parsePattern(text);
  if (selector === undefined) throw new TypeError(text);
  expect(matched.filter((name) => !nameMatches(selector, name))).toEqual([]);
  expect(passed.filter((name) => nameMatches(selector, name))).toEqual([]);
});

test("a hostile name costs no more than a friendly one", () => {
  const selector = parsePattern(`${"*a".repeat(120)}b`);
  expect(selector && nameMatches(selector, "a".repeat(100_000))).toBe(false);
});
