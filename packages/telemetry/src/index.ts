export { catalogue } from "./catalogue/catalogue.ts";
export { exportsMetrics } from "./catalogue/exports.ts";
export { flowsMetrics } from "./catalogue/flows.ts";
export { historyMetrics } from "./catalogue/history.ts";
export { hubbleMetrics } from "./catalogue/hubble.ts";
export { nodeMetrics } from "./catalogue/node.ts";
export { policyMetrics } from "./catalogue/policy.ts";
export { telemetryErrors } from "./errors.ts";
export {
  type Chunk,
  type Delivery,
  type DeliveryTotals,
  type Destination,
  type DropReason,
  type Outcome,
  openDelivery,
} from "./export/delivery.ts";
export { type OtlpOptions, otlpDestination } from "./otlp/http-client.ts";
export type { PropagatorName } from "./propagation/propagator.ts";
export { createRegistry, type Exposition, type Registry } from "./registry.ts";
export type { ParentBasedChoice, SamplerChoice } from "./sampling/create.ts";
export type { Sampler, SamplingResult, SpanStart } from "./sampling/sampler.ts";
export type { SpanLimits } from "./tracing/limits.ts";
export { openTracing, type Tracing, type TracingOptions, type TracingTotals } from "./tracing.ts";
