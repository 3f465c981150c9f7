import { type Random, seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { type RuleClass, ruleClass } from "../tables.ts";
import { type Decider, type Settled, settle } from "./settle.ts";

const TCP = 6;
const UDP = 17;
const GRE = 47;

describe("each protocol and port", () => {
  test("has the answer of the strongest rule for it", () => {
    for (let seed = 1; seed <= 300; seed++) {
      const random = seededRandom(seed);
      const deciders = randomDeciders(random);
      const settled = settle(deciders);
      const edges = deciders.flatMap(({ ports = [] }) => ports.flatMap(({ first, last }) => [first, last]));
      const asked = edges
        .flatMap((port) => [port - 1, port, port + 1])
        .filter((port) => port >= 0 && port < 65_536);
      for (const protocol of [TCP, UDP, GRE]) {
        for (const port of [undefined, random.below(65_536), ...asked]) {
          const question = { seed, protocol, port };
          expect({ ...question, id: answer(settled, protocol, port) }).toEqual({
            ...question,
            id: strongest(deciders, protocol, port),
          });
        }
      }
    }
  });
});

test("an unknown port meets rules for every port alone", () => {
  const settled = settle([
    allow(3, [{ protocol: TCP, first: 0, last: 32_767 }]),
    allow(4, [{ protocol: TCP, first: 32_768, last: 65_535 }]),
  ]);
  expect(answer(settled, TCP, 80)).toBe(3);
  expect(answer(settled, TCP, undefined)).toBe(0);
  expect(settled.every(({ bits }) => bits > 8)).toBe(true);
  expect(answer(settle([allow(3, [{ protocol: TCP, first: 0, last: 65_535 }])]), TCP, undefined)).toBe(3);
});

test("what never decides takes no entry", () => {
  const deny: Decider = { class: ruleClass.deny, id: 2, ports: undefined };
  expect(settle([allow(1, [{ protocol: TCP, first: 80, last: 80 }]), deny, allow(3)])).toEqual([
    { protocol: 0, port: 0, bits: 0, class: ruleClass.deny, id: 2 },
  ]);
});

test("ten thousand overlapping ranges make few entries", () => {
  const nested = Array.from({ length: 10_000 }, (_, index) =>
    allow(index + 1, [{ protocol: TCP, first: index, last: 65_535 - index }]),
  );
  // The widest has the lowest id, so it decides everywhere.
  expect(settle(nested)).toHaveLength(1);
});

function allow(id: number, ports?: Decider["ports"]): Decider {
  return { class: ruleClass.allow, id, ports };
}

/** As the kernel looks up: the longest prefix; an unknown port has no bits. */
function answer(settled: readonly Settled[], protocol: number, port: number | undefined): number {
  const key = (protocol << 16) | (port ?? 0);
  const longest = settled
    .filter(({ bits }) => bits <= (port === undefined ? 8 : 24))
    .filter(
      (entry) => ((entry.protocol << 16) | entry.port) >>> (24 - entry.bits) === key >>> (24 - entry.bits),
    )
    .toSorted((a, b) => b.bits - a.bits)[0];
  return longest?.id ?? 0;
}

function strongest(deciders: readonly Decider[], protocol: number, port: number | undefined): number {
  const matching = deciders.filter(
    ({ ports }) =>
      ports === undefined ||
      ports.some(
        (range) =>
          range.protocol === protocol &&
          (port === undefined
            ? range.first === 0 && range.last === 65_535
            : port >= range.first && port <= range.last),
      ),
  );
  return matching.toSorted((a, b) => b.class - a.class || a.id - b.id)[0]?.id ?? 0;
}

function randomDeciders(random: Random): Decider[] {
  return Array.from({ length: random.below(8) }, (_, index) => ({
    class: (1 + random.below(3)) as RuleClass,
    id: 1 + ((index * 5) % 8),
    ports:
      random.below(6) === 0
        ? undefined
        : Array.from({ length: random.below(4) }, () => {
            const [a, b] = [random.below(65_536), random.below(65_536)];
            const isWhole = random.below(6) === 0;
            return {
              protocol: random.below(3) === 0 ? UDP : TCP,
              first: isWhole ? 0 : Math.min(a, b),
              last: isWhole ? 65_535 : random.below(3) === 0 ? Math.min(a, b) : Math.max(a, b),
            };
          }),
  }));
}
