import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { createKeyedLru } from "./keyed-lru.ts";

test.each([1, 2, 5, 8])("as a Map in the order of use, keys of %i words", (keyWords) => {
  const random = seededRandom(keyWords);
  const evicted: number[] = [];
  const index = createKeyedLru({ capacity: 30, keyWords, seed: 3, onEvict: (slot) => evicted.push(slot) });
  const oracle = new Map<string, number>();
  const words = new Uint32Array(keyWords + 3);
  for (let round = 0; round < 50_000; round++) {
    for (let at = 0; at < keyWords; at++) words[2 + at] = random.below(at === 0 ? 50 : 2) * 0x10001;
    const key = words.join();
    const known = oracle.get(key);
    expect(index.find(words, 2)).toBe(known ?? -1);
    const action = random.below(4);
    if (action === 0 && known !== undefined) {
      index.remove(known);
      oracle.delete(key);
    } else if (action === 1 && known !== undefined) {
      index.touch(known);
      oracle.delete(key);
      oracle.set(key, known);
    } else if (action > 1) {
      const oldest = [...oracle][0];
      const claimed = index.claim(words, 2);
      if (known === undefined && oracle.size === 30) {
        expect(evicted.pop()).toBe(oldest?.[1]);
        oracle.delete(oldest?.[0] ?? "");
      }
      expect(evicted).toEqual([]);
      expect(claimed).toBe(known ?? ~~claimed);
      expect(claimed < 0).toBe(known === undefined);
      oracle.delete(key);
      oracle.set(key, known ?? ~claimed);
    }
    expect(index.size).toBe(oracle.size);
    expect(index.oldest()).toBe([...oracle.values()][0] ?? -1);
  }
});

test("keys made to collide stay apart", () => {
  const index = createKeyedLru({ capacity: 1000, keyWords: 1, seed: 12_345 });
  const words = new Uint32Array(1);
  for (let key = 0; key < 1000; key++) {
    words[0] = key << 22;
    index.claim(words, 0);
  }
  words[0] = 1 << 22;
  expect(index.find(words, 0)).toBe(1);
  words[0] = 1;
  expect(index.find(words, 0)).toBe(-1);
});
