import { type Random, seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { nameMatches, parseName, parsePattern } from "../language/dns-names.ts";
import { NAME_PEER, type NameEntry } from "../tables.ts";
import { MOST_STATES, nameAutomaton, peersOfName, STATE_BYTES } from "./automaton.ts";

const CASES = 200;
const NAMES_A_CASE = 100;

function entriesOf(texts: readonly string[]): NameEntry[] {
  const entries = new Map<string, Omit<NameEntry, "peer">>();
  for (const text of texts) {
    const selector = text.includes("*") ? parsePattern(text) : parseName(text);
    if (selector === undefined) throw new Error(`${text} is no selector`);
    const entry =
      selector.kind === "name"
        ? { kind: selector.kind, text: selector.name }
        : { kind: selector.kind, text: selector.pattern };
    entries.set(`${entry.kind} ${entry.text}`, entry);
  }
  return [...entries.values()].map((entry, index) => ({ ...entry, peer: NAME_PEER + index }));
}

function wanted(entries: readonly NameEntry[], name: string): number[] {
  return entries
    .filter(({ kind, text }) =>
      nameMatches(kind === "name" ? { kind, name: text } : { kind, pattern: text }, name),
    )
    .map(({ peer }) => peer);
}

/** Of few characters, so that names and patterns meet. */
function randomLabel(random: Random, characters: string): string {
  return Array.from({ length: 1 + random.below(3) }, () => characters[random.below(characters.length)]).join(
    "",
  );
}

function randomText(random: Random, characters: string, most: number): string {
  return Array.from({ length: 1 + random.below(most) }, () => randomLabel(random, characters)).join(".");
}

test("selects what nameMatches says, on 20,000 random names", () => {
  let matched = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const random = seededRandom(seed);
    const texts = Array.from({ length: 1 + random.below(7) }, () => {
      const deep = random.below(4) === 0 ? "**." : "";
      return deep + randomText(random, random.below(2) === 0 ? "ab" : "ab*-*1", 3);
    });
    const entries = entriesOf(texts);
    const automaton = nameAutomaton(entries);
    for (let index = 0; index < NAMES_A_CASE; index++) {
      const name = randomText(random, random.below(20) === 0 ? "ab%" : "ab-1", 4);
      const expected = wanted(entries, name);
      if (expected.length > 0) matched++;
      expect(
        peersOfName(automaton, name).sort((a, b) => a - b),
        `seed ${seed}: ${name} by ${texts.join(" ")}`,
      ).toEqual(expected);
    }
  }
  expect(matched).toBeGreaterThan(2000);
});

test.each([
  ["*", "a.b", true],
  ["*", "", false],
  ["**.a", "a", false],
  ["**.a", "b.a", true],
  ["**.a", "c.b.a", true],
  ["*.a", "c.b.a", false],
  ["*x.a", "x.a", true],
  ["a*", "a", true],
  ["a_b-1.c", "a_b-1.c", true],
])("%s selects %s: %s", (pattern, name, selected) => {
  expect(peersOfName(nameAutomaton(entriesOf([pattern])), name).length > 0).toBe(selected);
});

test("grows with what names and patterns have not in common", () => {
  const texts = Array.from({ length: 1000 }, (_, index) => [
    `host-${index}.example.org`,
    `*.zone-${index}.example.org`,
    `**.deep-${index}.example.net`,
  ]).flat();
  const states = nameAutomaton(entriesOf(texts)).length / STATE_BYTES;
  expect(states).toBeLessThan(MOST_STATES);
});

test("says what is too much", () => {
  const stars = Array.from(
    { length: 60 },
    (_, index) => `*${index.toString(16).padStart(2, "0")}*a*b*c*.example.org`,
  );
  expect(() => nameAutomaton(entriesOf(stars))).toThrow(/the names need more than 65535 states/);
  const nine = Array.from({ length: 9 }, (_, index) => `${"a".repeat(index + 1)}*`);
  expect(() => nameAutomaton(entriesOf(nine))).toThrow(
    "9 names and patterns select aaaaaaaaa, at most 8 may",
  );
});

test("names nothing where there are no names", () => {
  expect(nameAutomaton([])).toHaveLength(0);
});
