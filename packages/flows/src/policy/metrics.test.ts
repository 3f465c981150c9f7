import { createRegistry } from "@x0tta6bl4/telemetry";
import { expect, test } from "vitest";
import type { EnforcementFigures, RuleFigures } from "./enforce/contract.ts";
import { createPolicyMetrics } from "./metrics.ts";
import type { StateAnswer } from "./schema.ts";
import { noNames } from "./testing/memory-enforcement.ts";

const state: StateAnswer = {
  enforced: true,
  reason: null,
  hint: null,
  node: { name: "edge", labels: {}, addresses: [] },
  generation: 7,
  applied: null,
  management: true,
  pin: false,
  waiting: { generation: 7, secondsLeft: 12.5, applied: "", documents: [] },
  counts: {
    documents: 3,
    audit: 1,
    rules: 4,
    entries: 5,
    connections: null,
    verdicts: null,
    unremembered: null,
    related: null,
  },
};

const figures = (...rules: RuleFigures[]): EnforcementFigures => ({
  inForce: { generation: 1, unconfirmed: undefined },
  verdicts: 9,
  unremembered: 2,
  related: 1,
  connections: 4,
  names: noNames,
  rules,
  isPinned: false,
});

const decided = (id: number, packets: number, decision: RuleFigures["decision"] = "deny"): RuleFigures => ({
  id,
  decision,
  flows: 1,
  packets,
  bytes: packets * 100,
});

test("figures are summed by policy and path, whatever numbers a rule has had", async () => {
  const registry = createRegistry();
  const metrics = createPolicyMetrics(registry);
  const ruleOf = (id: number) => ({ policy: "db", path: id === 9 ? "spec.ingress" : "spec.ingress[0]" });
  metrics.take(state, figures(decided(5, 10), decided(8, 3), decided(9, 1), decided(5, 2, "audit")), ruleOf);
  const { body } = await registry.expose();
  expect(body).toContain('policy_packets_total{policy="db",path="spec.ingress[0]",decision="deny"} 13');
  expect(body).toContain('policy_bytes_total{policy="db",path="spec.ingress[0]",decision="deny"} 1300');
  expect(body).toContain('policy_flows_total{policy="db",path="spec.ingress[0]",decision="audit"} 1');
  expect(body).toContain('policy_packets_total{policy="db",path="spec.ingress",decision="deny"} 1');
  expect(body).toContain("policy_generation 7");
  expect(body).toContain("policy_enforced 1");
  expect(body).toContain("policy_unconfirmed_seconds 12.5");
  expect(body).toContain('policy_documents{mode="audit"} 1');
  expect(body).toContain("policy_unremembered_connections_total 2");
});

test("beyond the bound rules share one series, and those that have their own keep it", async () => {
  const registry = createRegistry();
  const metrics = createPolicyMetrics(registry, 2);
  const ruleOf = (id: number) => ({ policy: `p${id}`, path: "spec.ingress" });
  metrics.take(state, figures(decided(1, 1), decided(2, 2)), ruleOf);
  metrics.take(state, figures(decided(3, 30), decided(4, 40), decided(2, 5), decided(1, 1)), ruleOf);
  const { body } = await registry.expose();
  const series = body.split("\n").filter((line) => line.startsWith("x0tta6bl4_policy_packets_total{"));
  expect(series.toSorted()).toEqual([
    'x0tta6bl4_policy_packets_total{policy="(other)",path="",decision="deny"} 70',
    'x0tta6bl4_policy_packets_total{policy="p1",path="spec.ingress",decision="deny"} 1',
    'x0tta6bl4_policy_packets_total{policy="p2",path="spec.ingress",decision="deny"} 5',
  ]);
});
