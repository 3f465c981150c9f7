/** Where tracers come from: https://opentelemetry.io/docs/specs/otel/trace/sdk/#tracer-provider */
import type { Tracer, TracerOptions, TracerProvider } from "@opentelemetry/api";
import type { Sampler } from "../sampling/sampler.ts";
import { type ChunkOptions, SpanChunks } from "./chunks.ts";
import { type RandomWord, randomWords } from "./ids.ts";
import { defaultSpanLimits, type SpanLimits } from "./limits.ts";
import type { SpanHome } from "./span.ts";
import { TimeAnchor, type TimeSource } from "./time.ts";
import { SpanTracer } from "./tracer.ts";

/** Who instruments: https://opentelemetry.io/docs/specs/otel/common/instrumentation-scope/ */
export interface Scope {
  readonly name: string;
  readonly version: string | undefined;
  readonly schemaUrl: string | undefined;
}

export interface ProviderOptions extends ChunkOptions {
  readonly sampler: Sampler;
  readonly limits?: Partial<SpanLimits>;
  readonly time?: TimeSource;
  readonly random?: RandomWord;
}

export interface SpanProvider extends TracerProvider {
  /** By the number that a chunk gives them. */
  readonly scopes: readonly Scope[];
  /** Spans that could not be written. */
  readonly failed: number;
  /** Hands on what has ended. */
  flush(): void;
}

/** Tracers are kept for as long as the program runs: a scope is a library, and these are few. */
export function createSpanProvider(options: ProviderOptions): SpanProvider {
  const anchor = new TimeAnchor(options.time);
  const chunks = new SpanChunks(anchor, options);
  const { sampler } = options;
  const limits = { ...defaultSpanLimits, ...options.limits };
  const random = options.random ?? randomWords();
  const scopes: Scope[] = [];
  const tracers = new Map<string, Tracer>();

  const homeOf = (number: number): SpanHome => ({
    limits,
    anchor,
    ended: (span) => chunks.add(span, number),
  });
  return {
    scopes,
    get failed() {
      return chunks.failed;
    },
    getTracer(name: string, version?: string, { schemaUrl }: TracerOptions = {}) {
      const key = JSON.stringify([name, version, schemaUrl]);
      const known = tracers.get(key);
      if (known !== undefined) return known;
      const tracer = new SpanTracer({ sampler, random, home: homeOf(scopes.length) });
      scopes.push({ name, version, schemaUrl });
      tracers.set(key, tracer);
      return tracer;
    },
    flush: () => chunks.flush(),
  };
}
