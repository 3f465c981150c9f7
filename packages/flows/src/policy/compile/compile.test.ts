import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { identify } from "../evaluate.ts";
import { evaluateManaged } from "../managed.ts";
import type { Attempt, PolicySet, Verdict, World } from "../model.ts";
import { NAME_PEER } from "../tables.ts";
import { cidr, host, policyOf, tcp, worldOf } from "../testing/large.ts";
import { type RandomCase, randomAttempts, randomCase } from "../testing/random-cases.ts";
import { smallestFailing } from "../testing/smallest.ts";
import { compile } from "./compile.ts";
import { decode, encode } from "./encode.ts";
import { judgeBy } from "./judge.ts";

const world4 = { kind: "entity", entity: "world-ipv4" } as const;
const POLICIES = 2500;
const ATTEMPTS = 50;

describe("the tables say what the evaluator says", () => {
  test(`of ${POLICIES} random policies, each with ${ATTEMPTS} attempts`, () => {
    const decided = new Map<string, number>();
    for (let seed = 1; seed <= POLICIES; seed++) {
      const random = seededRandom(seed);
      const one = randomCase(random);
      const minSaving = random.below(2) === 0 ? 0 : 1024;
      const judge = judgeOf(one, one.set, minSaving);
      for (const attempt of randomAttempts(random, one, ATTEMPTS)) {
        const wanted = evaluateManaged(one.set, one.world, one.management, attempt);
        const given = judge(attempt);
        if (!agree(wanted, given)) explain(seed, one, minSaving, attempt);
        decided.set(wanted.decision, (decided.get(wanted.decision) ?? 0) + 1);
      }
    }
    const least = (POLICIES * ATTEMPTS) / 50;
    for (const decision of ["allow", "audit", "deny"]) expect(decided.get(decision)).toBeGreaterThan(least);
  });
});

const RULES = 10_000;

describe("many rules make few entries", () => {
  const wideRules = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ peers: [world4], ports: [tcp(index)] }));
  const hosts = (count: number) =>
    Array.from({ length: count }, (_, index) => ({ peers: [host(index)], ports: [tcp(1000 + index)] }));

  test.each([
    ["a network each, with a port", hosts(RULES), { peers: RULES, rules: RULES }],
    [
      "a port each, of one network",
      Array.from({ length: RULES }, (_, index) => ({ peers: [cidr("10.0.0.0/8")], ports: [tcp(2 * index)] })),
      { peers: 1, rules: RULES },
    ],
    [
      "one rule of as many networks",
      [{ peers: Array.from({ length: RULES }, (_, index) => host(index)), ports: [tcp(443)] }],
      { peers: RULES, rules: 1 },
    ],
    // Repeated at each host the world's 5,000 would be 25 million.
    [
      "networks in a wide one with rules of its own",
      [...wideRules(RULES / 2), ...hosts(RULES / 2)],
      { peers: RULES / 2 + 1, rules: RULES },
    ],
    // Each decides at both ends of its range, the innermost within as well.
    [
      "whoever it is, in nested ranges of ports",
      Array.from({ length: RULES }, (_, index) => ({
        peers: undefined,
        ports: [tcp(RULES - index, 60_000 + index - RULES)],
      })),
      { peers: 0, rules: 20_002 },
    ],
  ])("%s", (_, rules, count) => {
    const tables = compile(policyOf(rules), worldOf(0), undefined);
    const peers = tables.peers.filter(({ peer }) => peer !== 0).length;
    expect({ peers, rules: tables.rules.length }).toEqual(count);
    // This host's own address, which the networks do not select.
    expect(tables.peers.length - peers).toBeLessThanOrEqual(1);
  });

  test("endpoints that the same specs select share the rules", () => {
    const { endpoints, rules } = compile(policyOf(hosts(RULES)), worldOf(150), undefined);
    expect(endpoints).toHaveLength(151);
    expect(rules).toHaveLength(RULES);
  });

  test("workloads that the same rules select share these", () => {
    const cluster = { kind: "entity", entity: "cluster" } as const;
    const inCluster = Array.from({ length: 1000 }, (_, index) => ({ peers: [cluster], ports: [tcp(index)] }));
    const { workloads, rules } = compile(policyOf(inCluster), worldOf(150), undefined);
    expect(new Set(workloads.map(({ peer }) => peer)).size).toBe(1);
    expect(rules).toHaveLength(1000);
  });

  test("more than the table may hold are refused", () => {
    const code = "X0_FLOWS_POLICY_TOO_LARGE";
    expect(() => compile(policyOf(hosts(100)), worldOf(0), undefined, { maxEntries: 200 })).toThrow(
      expect.objectContaining({ code, message: "the policies need more than 200 entries" }),
    );
    expect(compile(policyOf(hosts(100)), worldOf(0), undefined, { maxEntries: 201 }).rules).toHaveLength(100);
    // 25 prefixes one in the other: 325 pairs, though few entries.
    const nested = Array.from({ length: 25 }, (_, index) => ({
      peers: [cidr(`10.0.0.0/${8 + index}`)],
      ports: undefined,
    }));
    const limits = { maxEntries: 60, minSaving: 1024 };
    expect(() => compile(policyOf(nested), worldOf(0), undefined, limits)).toThrow(
      expect.objectContaining({
        code,
        message: "rules and the peers they select meet in more than 240 pairs",
      }),
    );
    expect(
      compile(policyOf(nested), worldOf(0), undefined, { ...limits, maxEntries: 82 }).rules,
    ).toHaveLength(25);
  });
});

test("the same policies give the same tables, byte for byte", () => {
  for (let seed = 1; seed <= 50; seed++) {
    const [first, second] = [1, 2].map(() => {
      const { set, world, management } = randomCase(seededRandom(seed));
      return encode(compile(set, world, management));
    });
    expect(second).toEqual(first);
  }
});

test("names keep the numbers that they are given", () => {
  const name = (text: string) => ({ peers: [{ kind: "name", name: text } as const], ports: undefined });
  const numbers = new Map<string, number>();
  const numberOfName = (kind: string, text: string): number => {
    const key = `${kind} ${text}`;
    numbers.set(key, numbers.get(key) ?? numbers.size);
    return numbers.get(key) as number;
  };
  const namesOf = (texts: readonly string[]) =>
    compile(policyOf(texts.map(name)), worldOf(0), undefined, { numberOfName }).names;
  namesOf(["c.test", "b.test"]);
  expect(namesOf(["a.test", "c.test"]).map(({ text, peer }) => [text, peer - NAME_PEER])).toEqual([
    ["a.test", 2],
    ["c.test", 1],
  ]);
});

/** The tables as the kernel gets them. */
function judgeOf({ world, management }: RandomCase, set: PolicySet, minSaving: number) {
  const tables = compile(set, world, management, { minSaving });
  return judgeBy({ ...decode(encode(tables)), names: tables.names }, namesOfWorld(world));
}

function namesOfWorld(world: World): World["names"] {
  return (address) => (identify(world, { address }).kind === "world" ? world.names(address) : []);
}

function agree(a: Verdict, b: Verdict): boolean {
  return a.decision === b.decision && a.id === b.id;
}

function explain(seed: number, one: RandomCase, minSaving: number, attempt: Attempt): never {
  const verdicts = (set: PolicySet): [Verdict, Verdict] => [
    evaluateManaged(set, one.world, one.management, attempt),
    judgeOf(one, set, minSaving)(attempt),
  ];
  const set = smallestFailing(one.set, (candidate) => !agree(...verdicts(candidate)));
  const [wanted, given] = verdicts(set);
  const { node, members, workloads } = one.world;
  const text = JSON.stringify(
    { seed, minSaving, wanted, given, attempt, set, management: one.management, node, members, workloads },
    (_, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("hex") : value),
    1,
  );
  throw new Error(`the tables differ from the evaluator: ${text}`);
}
