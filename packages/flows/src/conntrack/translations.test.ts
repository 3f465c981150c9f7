import { seededRandom } from "@x0tta6bl4/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { KEY_WORDS } from "./key.ts";
import { createTranslations, type Translations } from "./translations.ts";

/** A pair of keys that differ only where ports do, in namespace `netns`. */
function pair(original: number, translated: number, netns = 1): Uint32Array {
  const words = new Uint32Array(2 * KEY_WORDS);
  for (const [at, port] of [
    [0, original],
    [KEY_WORDS, 0x8000 + translated],
  ] as const) {
    words[at + 8] = port;
    words[at + 9] = netns | (17 << 16);
  }
  return words;
}

/** The key that belongs to the one at `at`, as text, with whether it is the original. */
function other(table: Translations, words: Uint32Array, at: number): string | undefined {
  const found = table.find(words, at);
  if (found < 0) return undefined;
  return `${table.isOriginal(found) ? "original" : "translated"} ${table.keys.slice(found, found + KEY_WORDS).join()}`;
}

const text = (words: Uint32Array, at: number): string => words.slice(at, at + KEY_WORDS).join();

test("each key finds the other, wherever it lies", () => {
  const table = createTranslations({ max: 8 });
  const words = pair(1, 2);
  table.add(words);
  const moved = new Uint32Array(100);
  moved.set(words, 37);
  expect(other(table, moved, 37)).toBe(`translated ${text(words, KEY_WORDS)}`);
  expect(other(table, moved, 37 + KEY_WORDS)).toBe(`original ${text(words, 0)}`);
  expect(other(table, pair(3, 3), 0)).toBeUndefined();
});

test("a connection that is over is found until its time has passed", () => {
  const table = createTranslations({ max: 8, retainMs: 1000 });
  const words = pair(1, 2);
  table.add(words);
  table.end(words, 5000);
  table.expire(5999);
  expect(table.find(words, 0)).toBeGreaterThanOrEqual(0);
  table.expire(6000);
  expect(table.find(words, 0)).toBe(-1);
  expect(table.size).toBe(0);
});

test("where there is no room, those that are over go first, the oldest of them", () => {
  const table = createTranslations({ max: 3 });
  const [a, b, c, d, e] = [1, 2, 3, 4, 5].map((n) => pair(n, n)) as [
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
    Uint32Array,
  ];
  for (const each of [a, b, c]) table.add(each);
  table.end(c, 1);
  table.end(a, 2);
  table.add(d);
  expect([a, b, c, d].map((each) => table.find(each, 0) >= 0)).toEqual([true, true, false, true]);
  table.add(e);
  expect(table.evicted).toBe(0);
  table.add(c);
  expect(table.evicted).toBe(1);
  expect(table.size).toBe(3);
});

test("a tuple that is used again belongs to the new connection", () => {
  const table = createTranslations({ max: 8 });
  const first = pair(1, 2);
  const second = pair(1, 3);
  table.add(first);
  table.add(second);
  expect(other(table, second, 0)).toBe(`translated ${text(second, KEY_WORDS)}`);
  expect(table.find(first, KEY_WORDS)).toBe(-1);
  table.end(first, 0);
  table.expire(Number.MAX_SAFE_INTEGER);
  expect(table.size).toBe(1);
});

test("what is not restated is over, in its namespace only", () => {
  const table = createTranslations({ max: 8, retainMs: 0 });
  const [stays, goes, elsewhere] = [pair(1, 1), pair(2, 2), pair(3, 3, 2)] as const;
  for (const each of [stays, goes, elsewhere]) table.add(each);
  table.beginRestating(1);
  table.add(stays);
  table.endRestating(1, 0);
  table.expire(0);
  expect([stays, goes, elsewhere].map((each) => table.find(each, 0) >= 0)).toEqual([true, false, true]);
});

test("equals a map of pairs, whatever comes", () => {
  fc.assert(
    fc.property(fc.integer(), (seed) => {
      const random = seededRandom(seed);
      // More room than pairs are live: the map below evicts none.
      const table = createTranslations({ max: 64, retainMs: 10 });
      const live = new Map<string, Uint32Array>();
      const ended = new Map<string, { words: Uint32Array; atMs: number }>();
      for (let nowMs = 0; nowMs < 300; nowMs++) {
        const words = pair(random.below(8), random.below(8));
        const id = text(words, 0) + text(words, KEY_WORDS);
        if (random.below(3) > 0) {
          for (const known of [live, ended])
            for (const [key, value] of known) {
              const theirs = value instanceof Uint32Array ? value : value.words;
              if (key === id && known === live) continue;
              if (text(theirs, 0) === text(words, 0) || text(theirs, KEY_WORDS) === text(words, KEY_WORDS))
                known.delete(key);
            }
          live.set(id, words);
          table.add(words);
        } else {
          if (live.delete(id)) ended.set(id, { words, atMs: nowMs });
          table.end(words, nowMs);
        }
        if (random.below(4) === 0) {
          for (const [key, { atMs }] of ended) if (atMs + 10 <= nowMs) ended.delete(key);
          table.expire(nowMs);
        }
        const all = [...live.values(), ...[...ended.values()].map((each) => each.words)];
        expect(table.size).toBe(all.length);
        for (const each of all) {
          expect(other(table, each, 0)).toBe(`translated ${text(each, KEY_WORDS)}`);
          expect(other(table, each, KEY_WORDS)).toBe(`original ${text(each, 0)}`);
        }
      }
    }),
    { numRuns: 50 },
  );
});
