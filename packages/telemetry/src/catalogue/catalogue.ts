import type { MetricDefinition } from "@x0tta6bl4/core";
import { exportsMetrics } from "./exports.ts";
import { flowsMetrics } from "./flows.ts";
import { historyMetrics } from "./history.ts";
import { hubbleMetrics } from "./hubble.ts";
import { nodeMetrics } from "./node.ts";
import { policyMetrics } from "./policy.ts";

/** Every metric of the product by part: what code measures, dashboards query and the documentation lists. */
export const catalogue: Readonly<Record<string, Readonly<Record<string, MetricDefinition>>>> = {
  node: nodeMetrics,
  flows: flowsMetrics,
  history: historyMetrics,
  hubble: hubbleMetrics,
  exports: exportsMetrics,
  policy: policyMetrics,
};
