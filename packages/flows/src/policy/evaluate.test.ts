import { describe, expect, test } from "vitest";
import { applying, evaluate } from "./evaluate.ts";
import { assemble } from "./language/assemble.ts";
import type { PolicySet } from "./model.ts";
import { attemptOf, clusterwide, readPolicies, smallWorld } from "./testing/small-world.ts";

const verdict = (set: PolicySet, attempt: string): unknown => {
  const { decision, id } = evaluate(set, smallWorld, attemptOf(attempt));
  return [decision, id];
};
const open = clusterwide("endpointSelector: {}\ningress:\n- fromEndpoints: [{}]\n- fromEntities: [all]", "a");
const closed = clusterwide(
  "endpointSelector: {}\ningress: [{fromEntities: [host]}]\ningressDeny:\n- fromEntities: [remote-node]\n- fromEntities: [cluster]",
  "b",
);

test("without policies all is allowed, by nobody", () => {
  expect(verdict({ policies: [] }, "node < 8.8.8.8 tcp/1")).toEqual(["allow", 0]);
});

test("deny rules come before allow rules, those before default denies; of each the lowest id decides", () => {
  const { set } = readPolicies(`${open}---\n${closed}`);
  expect(verdict(set, "node < db tcp/1")).toEqual(["deny", 6]);
  expect(verdict(set, "node < redis tcp/1")).toEqual(["deny", 7]);
  expect(verdict(set, "node < 8.8.8.8 tcp/1")).toEqual(["allow", 3]);
  expect(verdict(set, "node > 8.8.8.8 tcp/1")).toEqual(["allow", 0]);
  const { set: both } = readPolicies(
    `${closed}---\n${clusterwide("endpointSelector: {}\ningress: [{}]", "a")}`,
  );
  expect(verdict(both, "node < 8.8.8.8 tcp/1")).toEqual(["deny", 1]);
});

describe("audit", () => {
  const { documents } = readPolicies(`${open}---\n${closed}`);
  const audited = (...names: readonly string[]): PolicySet =>
    assemble(documents, [], { audited: new Set(names) }).set;
  test("what only policies in audit deny is told by their id", () => {
    expect(verdict(audited("b"), "node < db tcp/1")).toEqual(["audit", 6]);
    expect(verdict(audited("a", "b"), "node < db tcp/1")).toEqual(["audit", 6]);
  });
  test("what the others deny stays denied, also where a policy in audit would allow it", () => {
    expect(verdict(audited("a"), "node < 8.8.8.8 tcp/1")).toEqual(["deny", 4]);
    expect(verdict(audited("a"), "node < db tcp/1")).toEqual(["deny", 6]);
  });
  test("what is allowed carries the id of those in force, else of those in audit", () => {
    expect(verdict(audited("a"), "node < host tcp/1")).toEqual(["deny", 7]);
    expect(verdict(audited("b"), "node < 8.8.8.8 tcp/1")).toEqual(["allow", 3]);
    expect(verdict(audited("a", "b"), "node < 8.8.8.8 tcp/1")).toEqual(["allow", 3]);
  });
});

test("a policy is asked of whom it selects: a node selector selects no workload, nothing selects what is gone", () => {
  const nodes = readPolicies(clusterwide("nodeSelector: {}\ningress: [{}]")).set;
  const endpoints = readPolicies(clusterwide("endpointSelector: {}\ningress: [{}]")).set;
  const count = (set: PolicySet, endpoint: number): number =>
    applying(set.policies, smallWorld, { endpoint, direction: "ingress" }).length;
  expect([0, 1, 99].map((endpoint) => count(nodes, endpoint))).toEqual([1, 0, 0]);
  expect([0, 1, 99].map((endpoint) => count(endpoints, endpoint))).toEqual([1, 1, 0]);
});

test("an address that both this host and a member claim is this host's", () => {
  const member = { name: "m", labels: {}, addresses: smallWorld.node.addresses };
  const world = { ...smallWorld, members: [member] };
  const { set } = readPolicies(clusterwide("endpointSelector: {}\ningress: [{fromEntities: [host]}]"));
  expect(evaluate(set, world, attemptOf("nginx < host tcp/1")).decision).toBe("allow");
});

test("unknown ports: only rules without ports allow, and those with ports do not deny", () => {
  const rule = (section: string, ports: string): PolicySet =>
    readPolicies(
      clusterwide(
        `endpointSelector: {}\nenableDefaultDeny: {ingress: ${section === "ingress"}}\n${section}: [{fromEntities: [all]${ports}}]`,
      ),
    ).set;
  const some = ', toPorts: [{ports: [{port: "1", endPort: 65535, protocol: UDP}]}]';
  const every = ', toPorts: [{ports: [{port: "0", protocol: UDP}]}]';
  const decide = (set: PolicySet): unknown =>
    evaluate(set, smallWorld, attemptOf("node < 8.8.8.8 udp")).decision;
  expect([rule("ingress", ""), rule("ingress", every), rule("ingress", some)].map(decide)).toEqual([
    "allow",
    "allow",
    "deny",
  ]);
  expect(
    [rule("ingressDeny", ""), rule("ingressDeny", every), rule("ingressDeny", some)].map(decide),
  ).toEqual(["deny", "deny", "allow"]);
});
