/**
 * Probability sampling on which all participants of a trace agree, and whose probability can be read from each span:
 * https://opentelemetry.io/docs/specs/otel/trace/tracestate-handling/ and OTEP 235. A trace has 56 random bits R, in
 * its identifier or in the tracestate's `rv`; a span is sampled if R is not below its threshold, the `th` of its
 * tracestate: (1 - probability) * 2^56 without trailing zeros.
 */
import type { TraceState as TraceStateApi } from "@opentelemetry/api";
import { TraceState } from "@opentelemetry/core";
import { decision, type Sampler, type SpanStart } from "./sampler.ts";

/** Hexadecimal digits of 56 bits. */
const DIGITS = 14;
const HALF = 2 ** 28;
/** The entry of OpenTelemetry in a tracestate. */
const VENDOR = "ot";
/** Characters that an entry's value may have: W3C Trace Context, section 3.3.1.3.2. */
const LONGEST_VALUE = 256;

/** 56 bits as two halves: no number holds them exactly in 32 bits, nor as a product in 53. */
type Bits = readonly [high: number, low: number];

/**
 * @param probability above 0, at most 1; 0 drops all
 * @throws RangeError for another one: a program's mistake
 */
export function consistentProbability(probability: number): Sampler {
  if (!(probability >= 0 && probability <= 1)) throw new RangeError(`a probability of ${probability}`);
  const threshold = thresholdOf(probability);
  const text = digitsOf(threshold).replace(/0+$/, "") || "0";
  return {
    description: `ConsistentProbability{${probability}}`,
    shouldSample(start) {
      const state = start.parent?.traceState;
      const fields = fieldsOf(state?.get(VENDOR));
      const isSampled = probability > 0 && !isBelow(randomnessOf(start, fields.get("rv")), threshold);
      if (isSampled) fields.set("th", text);
      else fields.delete("th");
      return {
        decision: isSampled ? decision.recordAndSample : decision.drop,
        traceState: withFields(state, fields),
      };
    },
  };
}

/** 1 / probability of what a tracestate says; undefined if it says nothing that can be read. */
export function adjustedCount(state: TraceStateApi | undefined): number | undefined {
  const text = fieldsOf(state?.get(VENDOR)).get("th");
  if (text === undefined || !/^[0-9a-f]{1,14}$/.test(text)) return undefined;
  const [high, low] = bitsOf(text.padEnd(DIGITS, "0"));
  return 1 / (1 - (high + low / HALF) / HALF);
}

function thresholdOf(probability: number): Bits {
  const scaled = (1 - probability) * HALF;
  const high = Math.floor(scaled);
  return [high, Math.floor((scaled - high) * HALF)];
}

/** What the tracestate gives explicitly, else the identifier's last 56 bits. */
function randomnessOf(start: SpanStart, explicit: string | undefined): Bits {
  if (explicit !== undefined && /^[0-9a-f]{14}$/.test(explicit)) return bitsOf(explicit);
  const { trace2, trace3 } = start;
  return [((trace2 & 0xff_ffff) << 4) | (trace3 >>> 28), trace3 & (HALF - 1)];
}

function isBelow(a: Bits, b: Bits): boolean {
  return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]);
}

function bitsOf(digits: string): Bits {
  return [Number.parseInt(digits.slice(0, 7), 16), Number.parseInt(digits.slice(7), 16)];
}

function digitsOf(bits: Bits): string {
  return bits.map((half) => half.toString(16).padStart(7, "0")).join("");
}

/** `key:value;key:value` */
function fieldsOf(entry: string | undefined): Map<string, string> {
  const fields = new Map<string, string>();
  for (const field of entry?.split(";") ?? []) {
    const colon = field.indexOf(":");
    if (colon > 0) fields.set(field.slice(0, colon), field.slice(colon + 1));
  }
  return fields;
}

function withFields(
  state: TraceStateApi | undefined,
  fields: ReadonlyMap<string, string>,
): TraceStateApi | undefined {
  const entry = [...fields].map(([key, value]) => `${key}:${value}`).join(";");
  if (entry === "") return state?.unset(VENDOR);
  if (entry.length > LONGEST_VALUE) return state;
  return (state ?? new TraceState()).set(VENDOR, entry);
}
