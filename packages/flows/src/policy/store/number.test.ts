import { expect, test } from "vitest";
import type { Policy, PolicyRule, PolicySet } from "../model.ts";
import { matchedBy, namesOfRules, numbered } from "./number.ts";
import type { RuleContent } from "./store.ts";

function rule(path: string, port: number): PolicyRule {
  const bytes = Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? port : 0));
  return {
    id: 1,
    path,
    deny: false,
    peers: [{ kind: "cidr", prefix: { bytes, bits: 128 }, except: [] }],
    ports: [{ protocol: "tcp", first: port, last: port }],
  };
}

function policy(name: string, ...rules: PolicyRule[]): Policy {
  const ingress = { defaultDenyId: 1, path: "spec.ingress", defaultDeny: true, rules };
  const subject = { kind: "endpoint", labels: [] } as const;
  const spec = { path: "spec", subject, ingress, egress: undefined, description: undefined, log: undefined };
  return { kind: "CiliumNetworkPolicy", name, labels: {}, audit: false, specs: [spec] };
}

/** As the store does, in memory. */
function register(): (rules: readonly RuleContent[]) => number[] {
  const known: string[] = [];
  return (rules) =>
    rules.map((one) => {
      const key = JSON.stringify(one);
      if (!known.includes(key)) known.push(key);
      return known.indexOf(key) + 10;
    });
}

const idsIn = (set: PolicySet): number[][] =>
  set.policies.map(({ specs }) =>
    specs.flatMap(({ ingress }) => [
      ingress?.defaultDenyId ?? 0,
      ...(ingress?.rules ?? []).map(({ id }) => id),
    ]),
  );

test("a rule that stays as it is keeps its number, whatever comes before it", () => {
  const ids = register();
  const b = policy("b", rule("spec.ingress[0]", 80), rule("spec.ingress[1]", 443));
  expect(idsIn(numbered({ policies: [b] }, ids))).toEqual([[10, 11, 12]]);
  const a = policy("a", rule("spec.ingress[0]", 80));
  expect(idsIn(numbered({ policies: [a, b] }, ids))).toEqual([
    [13, 14],
    [10, 11, 12],
  ]);
});

test("a rule that says something else gets another number, also where only an address differs", () => {
  const ids = register();
  const before = numbered({ policies: [policy("a", rule("spec.ingress[0]", 80))] }, ids);
  const changed = { ...rule("spec.ingress[0]", 80), peers: rule("", 81).peers };
  const after = numbered({ policies: [policy("a", changed)] }, ids);
  expect([idsIn(before), idsIn(after)]).toEqual([[[10, 11]], [[10, 12]]]);
});

test("no two rules of a set share a number", () => {
  const set = { policies: [policy("a", rule("spec.ingress[0]", 1), rule("spec.ingress[1]", 1))] };
  const [ids = []] = idsIn(numbered(set, register()));
  expect(new Set(ids).size).toBe(ids.length);
});

test("the numbers have names, those of management and sessions too", () => {
  const set = numbered({ policies: [policy("default/a", rule("spec.ingress[0]", 1))] }, register());
  expect(namesOfRules(set)).toEqual([
    [1, " management l4-only"],
    [2, " session all"],
    [10, "default/a spec.ingress none"],
    [11, "default/a spec.ingress[0] l3-l4"],
  ]);
});

test.each([
  [undefined, undefined, "all"],
  [undefined, 80, "l4-only"],
  [undefined, "every", "proto-only"],
  ["host", undefined, "l3-only"],
  ["host", 80, "l3-l4"],
  ["host", "every", "l3-proto"],
  ["all", undefined, "all"],
] as const)("peers %s and port %s match by %s", (entity, port, match) => {
  const [first, last] = port === "every" ? [0, 65_535] : [port ?? 0, port ?? 0];
  const peers = entity === undefined ? undefined : [{ kind: "entity", entity } as const];
  const ports = port === undefined ? undefined : [{ protocol: "tcp", first, last } as const];
  expect(matchedBy({ peers, ports })).toBe(match);
});

test("a number that a verdict has no room for is refused", () => {
  const set: PolicySet = { policies: [policy("default/a", rule("spec.ingress[0]", 1))] };
  const most = 2 ** 28 - 1;
  expect(idsIn(numbered(set, () => [most - 1, most]))).toEqual([[most - 1, most]]);
  expect(() => numbered(set, () => [most, most + 1])).toThrow(
    expect.objectContaining({ code: "X0_FLOWS_POLICY_TOO_LARGE" }),
  );
});
