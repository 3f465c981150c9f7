import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import type { PolicySet } from "../model.ts";
import { numbered } from "../store/number.ts";
import type { RuleContent } from "../store/store.ts";
import { host, policyOf } from "../testing/large.ts";
import { randomSet } from "../testing/random-set.ts";
import { gathered, partsOf } from "./set-parts.ts";

/** Numbers as they come, whatever they are of. */
const ids = (contents: readonly RuleContent[]): number[] => contents.map((_, index) => index + 100);

function throughParts(set: PolicySet): PolicySet {
  const parts = partsOf(set).map((part) => structuredClone(part));
  return gathered(parts, ids(parts.flatMap(({ contents }) => contents)));
}

test("what is put together is the set, with its numbers", () => {
  const random = seededRandom(4);
  for (let round = 0; round < 200; round++) {
    const { set } = randomSet(random);
    expect(throughParts(set)).toEqual(numbered(set, ids));
  }
  expect(throughParts({ policies: [] })).toEqual({ policies: [] });
});

test("neither many rules of one policy nor many policies are one part", () => {
  const rules = Array.from({ length: 5000 }, (_, index) => ({ peers: [host(index)], ports: undefined }));
  const one = policyOf(rules);
  const [policy] = one.policies;
  const policies = Array.from({ length: 5000 }, (_, index) => ({ ...policy, name: `p${index}`, specs: [] }));
  for (const set of [one, { policies } as PolicySet]) {
    expect(partsOf(set).length).toBeGreaterThanOrEqual(10);
    expect(throughParts(set)).toEqual(numbered(set, ids));
  }
});
