import type { Metrics } from "@x0tta6bl4/core";
import { policyMetrics } from "@x0tta6bl4/telemetry";
import type { EnforcementFigures, RuleFigures } from "./enforce/contract.ts";
import type { StateAnswer } from "./schema.ts";
import type { RuleContent } from "./store/store.ts";

/** Three counters each; the largest sets have a few hundred rules that ever decide. */
const MOST_SERIES = 2000;
const other = { policy: "(other)", path: "" };

type Named = Pick<RuleContent, "policy" | "path">;
type Sums = Pick<RuleFigures, "flows" | "packets" | "bytes">;

export interface PolicyMetrics {
  take(
    state: StateAnswer,
    figures: EnforcementFigures | undefined,
    ruleOf: (id: number) => Named | undefined,
  ): void;
}

export function createPolicyMetrics(metrics: Metrics, mostSeries = MOST_SERIES): PolicyMetrics {
  const flows = metrics.counter(policyMetrics.flows);
  const packets = metrics.counter(policyMetrics.packets);
  const bytes = metrics.counter(policyMetrics.bytes);
  const enforced = metrics.gauge(policyMetrics.enforced);
  const generation = metrics.gauge(policyMetrics.generation);
  const documents = metrics.gauge(policyMetrics.documents);
  const entries = metrics.gauge(policyMetrics.entries);
  const unconfirmed = metrics.gauge(policyMetrics.unconfirmedSeconds);
  const verdicts = metrics.counter(policyMetrics.verdicts);
  const unremembered = metrics.counter(policyMetrics.unremembered);
  const related = metrics.counter(policyMetrics.related);
  const connections = metrics.gauge(policyMetrics.connections);
  const nameMessages = metrics.counter(policyMetrics.nameMessages);
  const nameAddresses = metrics.gauge(policyMetrics.nameAddresses);
  const nameAddressesFull = metrics.counter(policyMetrics.nameAddressesFull);
  const nameEncrypted = metrics.gauge(policyMetrics.nameEncrypted);
  /** Series that exist; a rule that once had its own keeps it. */
  const known = new Set<string>();
  const named = (rule: Named, decision: string): Named => {
    const key = JSON.stringify([rule.policy, rule.path, decision]);
    if (!known.has(key) && known.size >= mostSeries) return other;
    known.add(key);
    return rule;
  };
  return {
    take(state, figures, ruleOf) {
      const { counts } = state;
      enforced.set({}, state.enforced ? 1 : 0);
      generation.set({}, state.generation ?? 0);
      documents.set({ mode: "enforced" }, counts.documents - counts.audit);
      documents.set({ mode: "audit" }, counts.audit);
      entries.set({}, counts.entries);
      unconfirmed.set({}, state.waiting?.secondsLeft ?? 0);
      if (figures === undefined) return;
      verdicts.setTotal({}, figures.verdicts);
      unremembered.setTotal({}, figures.unremembered);
      related.setTotal({}, figures.related);
      connections.set({}, figures.connections);
      const { queries, answers, strangers, unasked, malformed, full, addresses, encrypted } = figures.names;
      const messages = { query: queries, answer: answers, stranger: strangers, unasked, malformed };
      for (const [kind, count] of Object.entries(messages)) nameMessages.setTotal({ kind }, count);
      nameAddresses.set({}, addresses);
      nameAddressesFull.setTotal({}, full);
      nameEncrypted.set({}, encrypted);
      const sums = new Map<string, Sums & { readonly labels: Named & { readonly decision: string } }>();
      for (const { id, decision, ...counted } of figures.rules) {
        // One whose meaning is no longer kept.
        const rule = named(ruleOf(id) ?? other, decision);
        const key = JSON.stringify([rule.policy, rule.path, decision]);
        const before = sums.get(key);
        sums.set(key, {
          labels: { ...rule, decision },
          flows: (before?.flows ?? 0) + counted.flows,
          packets: (before?.packets ?? 0) + counted.packets,
          bytes: (before?.bytes ?? 0) + counted.bytes,
        });
      }
      for (const { labels, ...sum } of sums.values()) {
        flows.setTotal(labels, sum.flows);
        packets.setTotal(labels, sum.packets);
        bytes.setTotal(labels, sum.bytes);
      }
    },
  };
}
