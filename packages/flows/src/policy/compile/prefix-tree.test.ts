import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import type { Prefix } from "../model.ts";
import { anAddress, aPrefix, edgesOf } from "../testing/random-addresses.ts";
import { comparePrefixes, covers, longestMatch, parentsOf } from "./prefix-tree.ts";

test("finds the longest of random nested prefixes, and what each lies in", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seededRandom(seed);
    const sorted = unique(Array.from({ length: random.below(30) }, () => aPrefix(random))).sort(
      comparePrefixes,
    );
    const parents = parentsOf(sorted);
    for (const [index, prefix] of sorted.entries()) {
      expect(parents[index]).toBe(longestOf(sorted, prefix, index));
    }
    for (const address of [anAddress(random), ...sorted.flatMap(edgesOf)]) {
      expect(longestMatch(sorted, parents, address)).toBe(longestOf(sorted, { bytes: address, bits: 128 }));
    }
  }
});

function unique(prefixes: readonly Prefix[]): Prefix[] {
  return [...new Map(prefixes.map((prefix) => [`${prefix.bytes}/${prefix.bits}`, prefix])).values()];
}

function longestOf(prefixes: readonly Prefix[], inner: Prefix, but = -1): number {
  let longest = -1;
  for (const [index, outer] of prefixes.entries()) {
    if (index === but || !covers(outer, inner)) continue;
    if (longest < 0 || outer.bits > (prefixes[longest] as Prefix).bits) longest = index;
  }
  return longest;
}
