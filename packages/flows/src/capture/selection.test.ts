import fc from "fast-check";
import { expect, test } from "vitest";
import { matchesPattern, selectNamespaces, selects } from "./selection.ts";

test.each([
  ["eth0", "eth0", true],
  ["eth0", "eth01", false],
  ["eth*", "eth0", true],
  ["eth*", "eth", true],
  ["*", "", true],
  ["veth*peer", "veth1peer", true],
  ["veth*peer", "vethpeer", true],
  ["ab*ba", "aba", false],
  ["*a*b*", "xxaxxbxx", true],
  ["*a*b*", "xxbxxaxx", false],
  ["a.c", "abc", false],
  ["*ab*ab", "abab", true],
  ["*ab*ab", "ab", false],
])("%s and %s: %s", (pattern, name, expected) => {
  expect(matchesPattern(pattern, name)).toBe(expected);
});

test("matches what the same regular expression does", () => {
  const letters = (most: number) =>
    fc.array(fc.constantFrom("a", "b", "*"), { maxLength: most }).map((each) => each.join(""));
  fc.assert(
    fc.property(letters(6), letters(8), (pattern, text) => {
      const name = text.replaceAll("*", "c");
      const oracle = new RegExp(`^${pattern.replaceAll("*", ".*")}$`);
      expect(matchesPattern(pattern, name)).toBe(oracle.test(name));
    }),
  );
});

test("nothing included is everything, and what is excluded goes first", () => {
  expect(selects({ include: [], exclude: [] }, "eth0")).toBe(true);
  expect(selects({ include: [], exclude: ["eth*"] }, "eth0")).toBe(false);
  expect(selects({ include: ["eth*"], exclude: ["eth1"] }, "eth0")).toBe(true);
  expect(selects({ include: ["eth*"], exclude: ["eth1"] }, "eth1")).toBe(false);
  expect(selects({ include: ["eth*"], exclude: [] }, "wlan0")).toBe(false);
});

test("namespaces are named one by one, by path or by a pattern, unless excluded", () => {
  expect(selectNamespaces({ include: ["blue", "/proc/7/ns/net", "red"], exclude: ["r*"] })).toEqual({
    named: ["blue", "/proc/7/ns/net"],
    matched: [],
  });
});
