import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { identify } from "../evaluate.ts";
import type { Attempt, PolicySet, Verdict, World } from "../model.ts";
import { evaluateManaged } from "../testing/managed.ts";
import { type RandomCase, randomAttempts, randomCase } from "../testing/random-cases.ts";
import { smallestFailing } from "../testing/smallest.ts";
import { compile } from "./compile.ts";
import { decode, encode } from "./encode.ts";
import { judgeBy } from "./judge.ts";

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
