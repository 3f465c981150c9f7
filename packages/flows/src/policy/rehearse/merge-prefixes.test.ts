import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { formatAddress } from "../../address.ts";
import { covers, isIn } from "../compile/prefix-tree.ts";
import type { Prefix } from "../model.ts";
import { some } from "../testing/choose.ts";
import { anAddress } from "../testing/random-addresses.ts";
import { mergePrefixes } from "./merge-prefixes.ts";
import { prefixOf } from "./permissions.ts";

const texts = (prefixes: readonly Prefix[]): string[] =>
  prefixes.map(({ bytes, bits }) => `${formatAddress(bytes)}/${bits}`);

test("random addresses: the same ones, in as few prefixes as there can be", () => {
  const random = seededRandom(4);
  for (let round = 0; round < 300; round++) {
    const addresses = some(random, 1, 40, () => anAddress(random));
    const merged = mergePrefixes(addresses.map((address) => prefixOf(address, 128)));
    const size = merged.reduce((sum, { bits }) => sum + 2 ** (128 - bits), 0);
    expect(size).toBe(new Set(addresses.map(formatAddress)).size);
    for (const address of addresses) expect(merged.some((prefix) => isIn(prefix, address))).toBe(true);
    // No two are halves of one.
    for (const [index, prefix] of merged.entries()) {
      const next = merged[index + 1];
      if (next === undefined || next.bits !== prefix.bits) continue;
      const parent = { bytes: prefixOf(prefix.bytes, prefix.bits - 1).bytes, bits: prefix.bits - 1 };
      expect(covers(parent, next)).toBe(false);
    }
  }
});

test("what lies in another goes with it, and IPv4 stays IPv4", () => {
  const whole = prefixOf(anAddress(seededRandom(1)), 120);
  expect(texts(mergePrefixes([prefixOf(whole.bytes, 128), whole]))).toEqual(texts([whole]));
  const halves = [0, 128].map((first) => {
    const bytes = new Uint8Array(16);
    bytes.set([0xff, 0xff, first], 10);
    return prefixOf(bytes, 97);
  });
  expect(texts(mergePrefixes(halves))).toEqual(["0.0.0.0/96"]);
});
