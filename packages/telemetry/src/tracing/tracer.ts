/** Starts spans: https://opentelemetry.io/docs/specs/otel/trace/sdk/#tracer */
import {
  type Attributes,
  type Context,
  context as contextApi,
  diag,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  type Link,
  type Span,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  TraceFlags,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import { isTracingSuppressed } from "@opentelemetry/core";
import { decision, dropped, type Sampler, type SamplingResult, type SpanStart } from "../sampling/sampler.ts";
import { contextWithSpan } from "./context.ts";
import { type RandomWord, type TraceWords, traceIdOf, WordContext, wordContext } from "./ids.ts";
import { RecordingSpan, type SpanHome, UnrecordedSpan } from "./span.ts";

const SUPPRESSED = new UnrecordedSpan(INVALID_SPAN_CONTEXT);
const NO_ATTRIBUTES: Attributes = {};
const NO_LINKS: readonly Link[] = [];
const NO_OPTIONS: SpanOptions = {};

export interface TracerOptions {
  readonly sampler: Sampler;
  readonly random: RandomWord;
  readonly home: SpanHome;
}

export class SpanTracer implements Tracer {
  readonly #sampler: Sampler;
  readonly #random: RandomWord;
  readonly #home: SpanHome;

  constructor({ sampler, random, home }: TracerOptions) {
    this.#sampler = sampler;
    this.#random = random;
    this.#home = home;
  }

  startSpan(name: string, given?: SpanOptions, context: Context = contextApi.active()): Span {
    if (isTracingSuppressed(context)) return SUPPRESSED;
    const options = given ?? NO_OPTIONS;
    const parent = options.root ? undefined : parentOf(context);
    const start = new Start(this.#random, context, parent, name, options);
    const { decision: decided, attributes, traceState } = this.#ask(start);
    const isSampled = decided === decision.recordAndSample;
    const own = new WordContext(
      start,
      this.#random(),
      this.#random() || 1,
      isSampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
      traceState ?? parent?.traceState,
      false,
    );
    if (decided === decision.drop) return new UnrecordedSpan(own);
    const span = new RecordingSpan(this.#home, own, parent, name, start.kind, options.startTime);
    if (options.attributes !== undefined) span.begin(options.attributes);
    if (attributes !== undefined) span.begin(attributes);
    if (options.links !== undefined) span.addLinks(options.links);
    return span;
  }

  #ask(start: SpanStart): SamplingResult {
    try {
      return this.#sampler.shouldSample(start);
    } catch (error) {
      diag.error(`${this.#sampler.description} failed: the span is not recorded`, error);
      return dropped;
    }
  }

  startActiveSpan<F extends (span: Span) => unknown>(name: string, fn: F): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    fn: F,
  ): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    options: SpanOptions,
    context: Context,
    fn: F,
  ): ReturnType<F>;
  startActiveSpan<F extends (span: Span) => unknown>(
    name: string,
    ...rest: [F] | [SpanOptions, F] | [SpanOptions, Context, F]
  ): ReturnType<F> {
    const fn = rest[rest.length - 1] as F;
    const options = rest.length > 1 ? (rest[0] as SpanOptions) : NO_OPTIONS;
    const context = rest.length > 2 ? (rest[1] as Context) : contextApi.active();
    const span = this.startSpan(name, options, context);
    return contextApi.with(
      contextWithSpan(context, span),
      fn as (span: Span) => ReturnType<F>,
      undefined,
      span,
    );
  }
}

/** The context's span if it may be a parent. */
function parentOf(context: Context): WordContext | undefined {
  const parent: SpanContext | undefined = trace.getSpan(context)?.spanContext();
  if (parent === undefined || parent instanceof WordContext) return parent;
  return isSpanContextValid(parent) ? wordContext(parent) : undefined;
}

/** What a sampler is asked about; a new trace gets its identifier here. */
class Start implements SpanStart, TraceWords {
  readonly trace0: number;
  readonly trace1: number;
  readonly trace2: number;
  readonly trace3: number;
  readonly context: Context;
  readonly parent: WordContext | undefined;
  readonly name: string;
  readonly kind: SpanKind;
  readonly attributes: Attributes;
  readonly links: readonly Link[];

  constructor(
    random: RandomWord,
    context: Context,
    parent: WordContext | undefined,
    name: string,
    options: SpanOptions,
  ) {
    this.trace0 = parent === undefined ? random() : parent.trace0;
    this.trace1 = parent === undefined ? random() : parent.trace1;
    this.trace2 = parent === undefined ? random() : parent.trace2;
    // An identifier of zeros is none.
    this.trace3 = parent === undefined ? random() || 1 : parent.trace3;
    this.context = context;
    this.parent = parent;
    this.name = name;
    const { kind = SpanKind.INTERNAL } = options;
    this.kind = kind >= SpanKind.INTERNAL && kind <= SpanKind.CONSUMER ? kind | 0 : SpanKind.INTERNAL;
    this.attributes = options.attributes ?? NO_ATTRIBUTES;
    this.links = options.links ?? NO_LINKS;
  }

  get traceId(): string {
    return traceIdOf(this);
  }
}
