import { seededRandom } from "@x0tta6bl4/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createAddressSet } from "./address-set.ts";
import { heavyHitters } from "./heavy-hitters.ts";

const added = fc.record({ key: fc.nat(40).map(String), weight: fc.nat(1000) });

test("with room for all keys it is exact", () => {
  fc.assert(
    fc.property(fc.array(added), (list) => {
      const hitters = heavyHitters<{ count: number }, null>(41, () => null);
      const naive = new Map<string, number>();
      for (const { key, weight } of list) {
        hitters.add(key, weight, { count: 1 }, null);
        naive.set(key, (naive.get(key) ?? 0) + weight);
      }
      const top = hitters.top(100);
      expect(hitters.missing).toBe(0);
      expect(new Map(top.map(({ key, weight }) => [key, weight]))).toEqual(naive);
      expect(top.map(({ weight }) => weight)).toEqual([...naive.values()].sort((a, b) => b - a));
      expect(top.reduce((sum, { sums }) => sum + sums.count, 0)).toBe(list.length);
    }),
  );
});

test("with less room sums lack no more than it says, and the heavy ones are found", () => {
  const random = seededRandom(3);
  const hitters = heavyHitters<{ count: number }, null>(100, () => null);
  const naive = new Map<string, number>();
  for (let index = 0; index < 100_000; index++) {
    // One in three is of ten heavy keys, the rest are of 20,000.
    const key = random.below(3) === 0 ? `heavy${random.below(10)}` : `light${random.below(20_000)}`;
    hitters.add(key, 1, { count: 1 }, null);
    naive.set(key, (naive.get(key) ?? 0) + 1);
  }
  const top = hitters.top(10);
  expect(new Set(top.map(({ key }) => key.slice(0, 5)))).toEqual(new Set(["heavy"]));
  expect(hitters.missing).toBeGreaterThan(0);
  for (const { key, weight } of top) {
    const truth = naive.get(key) as number;
    expect(weight).toBeLessThanOrEqual(truth);
    expect(weight + hitters.missing).toBeGreaterThanOrEqual(truth);
  }
});

test("an address set has all that was added, and hardly anything else", () => {
  const random = seededRandom(5);
  const address = (): Uint8Array => Uint8Array.from({ length: 16 }, () => random.below(256));
  const known = Array.from({ length: 20_000 }, address);
  const set = createAddressSet();
  for (const each of known) set.add(each);
  for (const each of known) expect(set.has(each)).toBe(true);
  let wrong = 0;
  for (let index = 0; index < 20_000; index++) if (set.has(address())) wrong++;
  expect(wrong).toBeLessThan(5);
  expect(set.isEstimate).toBe(false);
});
