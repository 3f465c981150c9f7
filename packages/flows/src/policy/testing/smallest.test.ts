import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import type { PolicySet } from "../model.ts";
import { randomSet } from "./random-set.ts";
import { smallestFailing } from "./smallest.ts";

test("leaves of random policies only what the failure needs", () => {
  const rulesIn = ({ policies }: PolicySet) =>
    policies.flatMap(({ specs }) => specs).flatMap(({ egress }) => egress?.rules ?? []);
  const fails = (set: PolicySet): boolean => rulesIn(set).some(({ deny }) => deny);
  const found = Array.from({ length: 30 }, (_, seed) => randomSet(seededRandom(seed)).set).filter(fails);
  expect(found.length).toBeGreaterThan(5);
  for (const set of found) {
    const smallest = smallestFailing(set, fails);
    expect(rulesIn(smallest)).toMatchObject([{ deny: true, peers: undefined, ports: undefined }]);
    const [spec] = smallest.policies.flatMap(({ specs }) => specs);
    expect(spec).toMatchObject({ subject: { labels: [] }, ingress: undefined });
  }
});
