/**
 * Identifiers as words of 32 bits, which cost no memory of their own; as text only where somebody asks for it.
 */
import { randomFillSync } from "node:crypto";
import type { SpanContext, TraceState } from "@opentelemetry/api";

/** Uniform integers of 32 bits, signed. */
export type RandomWord = () => number;

/** xoshiro128** 1.1 (D. Blackman, S. Vigna, public domain): not for secrets, which no identifier of a trace is. */
export function randomWords(seed: Uint32Array = randomFillSync(new Uint32Array(4))): RandomWord {
  let [a = 0, b = 0, c = 0, d = 1] = new Int32Array(seed);
  return () => {
    const product = Math.imul(b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9);
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = (d << 11) | (d >>> 21);
    return result;
  };
}

/** A span's context whose identifiers are four and two words; the first is the highest. */
export class WordContext implements SpanContext {
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  readonly span0: number;
  readonly span1: number;
  readonly traceFlags: number;
  readonly traceState?: TraceState;
  readonly isRemote: boolean;
  #traceId: string | undefined;
  #spanId: string | undefined;

  constructor(
    trace: TraceWords,
    span0: number,
    span1: number,
    traceFlags: number,
    traceState: TraceState | undefined,
    isRemote: boolean,
  ) {
    this.trace0 = trace.trace0;
    this.trace1 = trace.trace1;
    this.trace2 = trace.trace2;
    this.trace3 = trace.trace3;
    this.span0 = span0;
    this.span1 = span1;
    this.traceFlags = traceFlags;
    if (traceState !== undefined) this.traceState = traceState;
    this.isRemote = isRemote;
  }

  get traceId(): string {
    this.#traceId ??= traceIdOf(this);
    return this.#traceId;
  }

  get spanId(): string {
    this.#spanId ??= hexOf(this.span0) + hexOf(this.span1);
    return this.#spanId;
  }

  toJSON(): SpanContext {
    const { traceId, spanId, traceFlags, isRemote } = this;
    return { traceId, spanId, traceFlags, isRemote };
  }
}

export interface TraceWords {
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
}

/** @param context a valid one: hexadecimal digits. */
export function wordContext(context: SpanContext): WordContext {
  if (context instanceof WordContext) return context;
  const { traceId, spanId, traceFlags, traceState, isRemote } = context;
  const trace = {
    trace0: wordAt(traceId, 0),
    trace1: wordAt(traceId, 8),
    trace2: wordAt(traceId, 16),
    trace3: wordAt(traceId, 24),
  };
  const [span0, span1] = [wordAt(spanId, 0), wordAt(spanId, 8)];
  return new WordContext(trace, span0, span1, traceFlags, traceState, isRemote === true);
}

export function traceIdOf(trace: TraceWords): string {
  return hexOf(trace.trace0) + hexOf(trace.trace1) + hexOf(trace.trace2) + hexOf(trace.trace3);
}

const BYTES_AS_HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function hexOf(word: number): string {
  return (
    (BYTES_AS_HEX[word >>> 24] as string) +
    BYTES_AS_HEX[(word >>> 16) & 255] +
    BYTES_AS_HEX[(word >>> 8) & 255] +
    BYTES_AS_HEX[word & 255]
  );
}

function wordAt(text: string, at: number): number {
  return Number.parseInt(text.slice(at, at + 8), 16) | 0;
}
