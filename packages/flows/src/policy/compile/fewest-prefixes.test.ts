import { type Random, seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { fewestPrefixes, type PrefixOf16 } from "./fewest-prefixes.ts";

const PLACES = 65_536;

test("of random ranges the longest prefix gives each place its value", () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = seededRandom(seed);
    const { ends, values } = randomRanges(random, 1 + random.below(20));
    const above = random.below(4);
    const prefixes = fewestPrefixes(ends, values, above);
    expect(prefixes.every(({ bits }) => bits >= 1 && bits <= 16)).toBe(true);
    let range = 0;
    const answers = answersOf(prefixes, above);
    const wrong = answers.findIndex((answer, place) => {
      if (place > (ends[range] as number)) range++;
      return answer !== values[range];
    });
    expect({ seed, wrong }).toEqual({ seed, wrong: -1 });
  }
});

test("no fewer would do", () => {
  const parts = 8;
  for (let code = 0; code < 3 ** parts; code += 7) {
    const values = Array.from({ length: parts }, (_, index) => Math.floor(code / 3 ** index) % 3);
    const ends = values.map((_, index) => ((index + 1) * PLACES) / parts - 1);
    const above = code % 3;
    const halves = [values.slice(0, parts / 2), values.slice(parts / 2)];
    const least = halves.reduce((sum, half) => sum + fewest(half, above), 0);
    const { length } = fewestPrefixes(ends, values, above);
    expect({ values, above, length }).toEqual({ values, above, length: least });
  }
});

test.each([
  ["all but one", [0, 65_535], [0, 1], 0, 3],
  ["one", [79, 80, 65_535], [0, 1, 0], 0, 1],
  ["what holds above", [65_535], [0], 0, 0],
  ["everything", [65_535], [1], 0, 2],
])("%s", (_, ends, values, above, count) => {
  expect(fewestPrefixes(ends, values, above)).toHaveLength(count);
});

/** By trying: an entry of any value here or none. */
function fewest(values: readonly number[], above: number): number {
  const [first = 0] = values;
  if (values.length === 1) return first === above ? 0 : 1;
  const [low, high] = [values.slice(0, values.length / 2), values.slice(values.length / 2)];
  const costs = [0, 1, 2].map((here) => fewest(low, here) + fewest(high, here) + (here === above ? 0 : 1));
  return Math.min(...costs);
}

function randomRanges(random: Random, count: number): { ends: number[]; values: number[] } {
  const ends = new Set([PLACES - 1]);
  for (let index = 1; index < count; index++)
    ends.add(random.below(PLACES) & (random.below(2) ? 0xffff : 0xff00));
  const sorted = [...ends].sort((a, b) => a - b);
  return { ends: sorted, values: sorted.map(() => random.below(4)) };
}

function answersOf(prefixes: readonly PrefixOf16[], above: number): Uint16Array {
  const answers = new Uint16Array(PLACES).fill(above);
  for (const { start, bits, value } of prefixes.toSorted((a, b) => a.bits - b.bits)) {
    answers.fill(value, start, start + PLACES / 2 ** bits);
  }
  return answers;
}
