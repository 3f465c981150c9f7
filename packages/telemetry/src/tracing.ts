/**
 * Tracing of a program, through `@opentelemetry/api`: opened once, it is what that API's tracers, contexts and
 * propagators are. Spans leave by OTLP over HTTP from a worker thread.
 *
 *     const tracing = await openTracing({ resource: { "service.name": "shop" } });
 *     trace.getTracer("shop").startActiveSpan("checkout", (span) => { …; span.end(); });
 *     await tracing.shutdown(5000);
 */
import type { Attributes, TracerProvider } from "@opentelemetry/api";
import type { DeliveryTotals } from "./export/delivery.ts";
import type { PropagatorName } from "./propagation/propagator.ts";
import type { SamplerChoice } from "./sampling/create.ts";
import type { SpanLimits } from "./tracing/limits.ts";

/** Names and defaults of the batch span processor: https://opentelemetry.io/docs/specs/otel/trace/sdk/#batching-processor */
export interface TracingOptions {
  readonly resource: Attributes;
  /** Where OTLP over HTTP listens; `/v1/traces` is added. */
  readonly endpoint?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Parent-based, sampling all roots, by default. */
  readonly sampler?: SamplerChoice;
  readonly limits?: Partial<SpanLimits>;
  /** tracecontext and baggage by default. */
  readonly propagators?: readonly PropagatorName[];
  readonly scheduledDelayMs?: number;
  readonly maxExportBatchSize?: number;
  readonly exportTimeoutMs?: number;
  /** Bounds of what waits; by default bytes alone do, which the specification's 2,048 spans are a small part of. */
  readonly maxQueueBytes?: number;
  readonly maxQueueSize?: number;
  readonly isCompressed?: boolean;
  /**
   * A folder in which spans wait for the collector, also beyond the process: half a second after its end a span is
   * there. Of one program, its processes may share it. At most so many bytes; then the oldest give way.
   */
  readonly spool?: { readonly folder: string; readonly maxBytes: number };
}

export interface Tracing {
  readonly provider: TracerProvider;
  /** Settles once all spans that ended before are delivered or lost. */
  forceFlush(): Promise<void>;
  totals(): Promise<TracingTotals>;
  /** Delivers what has ended within the time, then takes tracing out of the API. Idempotent. */
  shutdown(deadlineMs: number): Promise<void>;
}

/** Counts of spans. */
export interface TracingTotals extends DeliveryTotals {
  /** Dropped because the worker was behind. */
  readonly behind: number;
  /** Dropped because they could not be written. */
  readonly failed: number;
}

const ENDPOINT = "http://127.0.0.1:4318";
const CHUNK_BYTES = 256 * 1024;
const QUEUE_BYTES = 64 * 2 ** 20;
const REQUESTS_UNDER_WAY = 4;
/** With a spool, what a killed process may lose. */
const SPOOL_DELAY_MS = 500;

/** @throws TypeError for an endpoint that is no URL */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  // Only who traces pays for it.
  const [api, contexts, { createPropagator }, { createSampler }, { createSpanProvider }, { openSpanExport }] =
    await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/context-async-hooks"),
      import("./propagation/propagator.ts"),
      import("./sampling/create.ts"),
      import("./tracing/provider.ts"),
      import("./export/span-export.ts"),
    ]);
  const { endpoint = ENDPOINT, resource, sampler = { parentBased: { root: "always_on" } }, limits } = options;
  const exporting = openSpanExport({
    url: new URL("v1/traces", endpoint.endsWith("/") ? endpoint : `${endpoint}/`).href,
    headers: options.headers ?? {},
    userAgent: "x0tta6bl4",
    timeoutMs: options.exportTimeoutMs ?? 30_000,
    isCompressed: options.isCompressed ?? true,
    resource: { attributes: resource, schemaUrl: undefined },
    queueBytes: options.maxQueueBytes ?? QUEUE_BYTES,
    queueSpans: options.maxQueueSize ?? Number.POSITIVE_INFINITY,
    parallel: REQUESTS_UNDER_WAY,
    seed: process.pid,
    spool: options.spool,
  });
  const provider = createSpanProvider({
    sampler: createSampler(sampler),
    ...(limits === undefined ? {} : { limits }),
    chunkBytes: CHUNK_BYTES,
    chunkSpans: options.maxExportBatchSize ?? 512,
    onChunk: (chunk) => exporting.put(chunk, provider.scopes),
  });
  const delayMs = options.scheduledDelayMs ?? 5000;
  const timer = setInterval(
    provider.flush,
    options.spool === undefined ? delayMs : Math.min(delayMs, SPOOL_DELAY_MS),
  ).unref();
  const manager = new contexts.AsyncLocalStorageContextManager().enable();
  api.context.setGlobalContextManager(manager);
  api.propagation.setGlobalPropagator(createPropagator(options.propagators ?? ["tracecontext", "baggage"]));
  api.trace.setGlobalTracerProvider(provider);
  return {
    provider,
    async forceFlush() {
      provider.flush();
      await exporting.flush();
    },
    totals: async () => ({ ...(await exporting.totals()), failed: provider.failed }),
    async shutdown(deadlineMs) {
      clearInterval(timer);
      provider.flush();
      await exporting.close(deadlineMs);
      api.trace.disable();
      api.propagation.disable();
      api.context.disable();
    },
  };
}
