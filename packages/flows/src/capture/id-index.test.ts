import fc from "fast-check";
import { expect, test } from "vitest";
import { createIdIndex } from "./id-index.ts";

test("it is a map, whatever is added and deleted in whatever order", () => {
  const id = fc.tuple(
    fc.integer({ min: 0, max: 40 }).map((n) => (n << 10) >>> 0),
    fc.integer({ min: 0, max: 2 }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), id), { maxLength: 400 }), (steps) => {
      const index = createIdIndex(400);
      const oracle = new Map<string, number>();
      for (const [slot, [adds, [low, high]]] of steps.entries()) {
        const key = `${low}:${high}`;
        if (!adds) {
          index.delete(low, high);
          oracle.delete(key);
        } else if (!oracle.has(key)) {
          index.add(low, high, slot);
          oracle.set(key, slot);
        }
        expect(index.get(low, high)).toBe(oracle.get(key) ?? -1);
      }
      expect(index.size).toBe(oracle.size);
      for (const [key, slot] of oracle) {
        const [low, high] = key.split(":").map(Number) as [number, number];
        expect(index.get(low, high)).toBe(slot);
      }
    }),
  );
});

test("it holds as many as it was made for", () => {
  const index = createIdIndex(100_000);
  for (let slot = 0; slot < 100_000; slot++) index.add((slot << 10) >>> 0, slot >>> 22, slot);
  expect(index.size).toBe(100_000);
  for (let slot = 0; slot < 100_000; slot += 997)
    expect(index.get((slot << 10) >>> 0, slot >>> 22)).toBe(slot);
});
