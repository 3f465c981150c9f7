/** Whether a span is recorded and sampled: https://opentelemetry.io/docs/specs/otel/trace/sdk/#sampling */
import type { Attributes, Context, Link, SpanContext, SpanKind, TraceState } from "@opentelemetry/api";

export const decision = { drop: 0, record: 1, recordAndSample: 2 } as const;
export type Decision = (typeof decision)[keyof typeof decision];

export interface SamplingResult {
  readonly decision: Decision;
  /** Set on the span. */
  readonly attributes?: Attributes;
  /** The span's; without it its parent's. */
  readonly traceState?: TraceState | undefined;
}

/** A span that is about to start. Valid during the call alone. */
export interface SpanStart {
  readonly context: Context;
  /** A valid one, or none. */
  readonly parent: SpanContext | undefined;
  readonly traceId: string;
  /** The highest word of the trace's identifier first. */
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  readonly name: string;
  readonly kind: SpanKind;
  /** As the caller gave them: not yet checked. */
  readonly attributes: Attributes;
  readonly links: readonly Link[];
}

export interface Sampler {
  readonly description: string;
  shouldSample(start: SpanStart): SamplingResult;
}

export const dropped: SamplingResult = { decision: decision.drop };
export const sampled: SamplingResult = { decision: decision.recordAndSample };

export function alwaysOn(): Sampler {
  return { description: "AlwaysOnSampler", shouldSample: () => sampled };
}

export function alwaysOff(): Sampler {
  return { description: "AlwaysOffSampler", shouldSample: () => dropped };
}
