/** The traced program of `span-loss`: ends spans at a rate for a while, or until it is told to end by SIGTERM. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { Tracer } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { BatchSpanProcessor, TracerProvider } from "@opentelemetry/sdk-trace";
import { openTracing } from "@x0tta6bl4/telemetry";
import { serveScript } from "../../test/lab/children/serve.ts";
import type { ScriptContract } from "../../test/lab/process.ts";

export interface AppContract extends ScriptContract {
  readonly argument: {
    /** Ours, or the stock SDK as it comes. */
    readonly by: "us" | "stock";
    readonly endpoint: string;
    /** Spans a second. */
    readonly rate: number;
    readonly durationMs: number;
    /** At the end, for what has not been delivered yet. */
    readonly shutdownMs: number;
    /** A folder, for ours. */
    readonly spool?: string;
  };
  readonly ready: null;
  /** So many spans had ended at that time. */
  readonly event: { readonly ended: number; readonly atMs: number };
  readonly order: never;
  readonly result: { readonly ended: number; readonly loopP99Ms: number };
}

const TICK_MS = 5;
const SPOOL_BYTES = 256 * 2 ** 20;

serveScript<AppContract>(async ({ by, endpoint, rate, durationMs, shutdownMs, spool }, parent) => {
  const { tracer, shutdown } = by === "us" ? await ours(endpoint, spool) : stock(endpoint);
  let isTold = false;
  process.on("SIGTERM", () => {
    isTold = true;
  });
  // Compiled, and the worker started, as after the first second of a service.
  for (let index = 0; index < 2000; index++) work(tracer, index);
  await sleep(500);
  parent.ready(null);
  const delays = monitorEventLoopDelay({ resolution: 1 });
  delays.enable();
  let ended = 2000;
  const began = performance.now();
  for (let elapsed = 0; elapsed < durationMs && !isTold; elapsed = performance.now() - began) {
    for (const due = 2000 + Math.floor((elapsed * rate) / 1000); ended < due; ended++) work(tracer, ended);
    if (spool !== undefined) parent.emit({ ended, atMs: performance.timeOrigin + performance.now() });
    await sleep(TICK_MS);
  }
  delays.disable();
  await shutdown(shutdownMs);
  return { ended, loopP99Ms: delays.percentile(99) / 1e6 };
});

interface Traced {
  readonly tracer: Tracer;
  shutdown(deadlineMs: number): Promise<void>;
}

async function ours(endpoint: string, folder: string | undefined): Promise<Traced> {
  const tracing = await openTracing({
    resource: { "service.name": "span-loss" },
    endpoint,
    ...(folder === undefined ? {} : { spool: { folder, maxBytes: SPOOL_BYTES } }),
  });
  return { tracer: tracing.provider.getTracer("bench"), shutdown: tracing.shutdown };
}

function stock(endpoint: string): Traced {
  const exporter = new OTLPTraceExporter({ url: `${endpoint}/v1/traces` });
  const provider = new TracerProvider({ spanProcessors: [new BatchSpanProcessor({ exporter })] });
  return {
    tracer: provider.getTracer("bench"),
    shutdown: async (deadlineMs) => {
      await Promise.race([provider.shutdown().catch(() => {}), sleep(deadlineMs)]);
    },
  };
}

function work(tracer: Tracer, number: number): void {
  const attributes = { "http.request.method": "GET", "http.route": "/users/:id", "server.port": 443, number };
  tracer.startSpan("GET /users/:id", { kind: 1, attributes }).end();
}
