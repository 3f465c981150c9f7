export { catalogue } from "./catalogue/catalogue.ts";
export { exportsMetrics } from "./catalogue/exports.ts";
export { flowsMetrics } from "./catalogue/flows.ts";
export { historyMetrics } from "./catalogue/history.ts";
export { hubbleMetrics } from "./catalogue/hubble.ts";
export { nodeMetrics } from "./catalogue/node.ts";
export { policyMetrics } from "./catalogue/policy.ts";
export { telemetryErrors } from "./errors.ts";
export { createRegistry, type Exposition, type Registry } from "./registry.ts";
