/** What a span may hold: https://opentelemetry.io/docs/specs/otel/trace/sdk/#span-limits, under its defaults. */
export interface SpanLimits {
  readonly attributeCount: number;
  /** Characters of a text, bytes of a byte array, also within arrays and maps. */
  readonly attributeValueLength: number;
  readonly eventCount: number;
  readonly linkCount: number;
  readonly attributesPerEvent: number;
  readonly attributesPerLink: number;
}

export const defaultSpanLimits: SpanLimits = {
  attributeCount: 128,
  attributeValueLength: Number.POSITIVE_INFINITY,
  eventCount: 128,
  linkCount: 128,
  attributesPerEvent: 128,
  attributesPerLink: 128,
};

/** Arrays and maps lie within one another this deep at most: what is deeper is a program's mistake, or a ring. */
export const DEEPEST_VALUE = 32;
