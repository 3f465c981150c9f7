/**
 * What a span costs the thread that makes it: a root and its child, six and three attributes, an event, with our
 * tracer and with the stock SDK (as ES modules; its CommonJS build is twice as slow), in turns of one run.
 * `recorded`: up to OTLP bytes. `unsampled`: dropped by the sampler, the context still propagated.
 */
import { context, type Tracer } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import {
  AlwaysOffSampler,
  ParentBasedSampler,
  type ReadableSpan,
  type SpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { parentBased } from "../packages/telemetry/src/sampling/parent-based.ts";
import { alwaysOff, alwaysOn } from "../packages/telemetry/src/sampling/sampler.ts";
import { createSpanProvider } from "../packages/telemetry/src/tracing/provider.ts";
import type { Bench } from "./lib/bench.ts";
import { median, round } from "./lib/statistics.ts";

/** Of the stock exporter's batches. */
const BATCH = 512;
const CHUNK_BYTES = 256 * 1024;

export const run: Bench = async ({ quick, note }) => {
  const manager = new AsyncLocalStorageContextManager().enable();
  context.setGlobalContextManager(manager);
  const [ours, stock] = [ourTracer(), stockTracer()];
  const unsampled = createSpanProvider({
    sampler: parentBased({ root: alwaysOff() }),
    chunkBytes: CHUNK_BYTES,
    chunkSpans: BATCH,
    onChunk() {
      throw new Error("an unsampled span was written");
    },
  }).getTracer("bench");
  const stockUnsampled = new TracerProvider({
    sampler: new ParentBasedSampler({ root: new AlwaysOffSampler() }),
  }).getTracer("bench");
  const pairs = quick ? 2000 : 20_000;
  const rounds = quick ? 5 : 15;
  const times: Record<string, number[]> = {};
  const measure = (name: string, tracer: Tracer): void => {
    const before = process.cpuUsage();
    spans(tracer, pairs);
    const { user, system } = process.cpuUsage(before);
    times[name] = [...(times[name] ?? []), ((user + system) * 1000) / pairs / 2];
  };
  for (const tracer of [ours.tracer, stock.tracer, unsampled, stockUnsampled]) spans(tracer, pairs);
  for (let index = 0; index < rounds; index++) {
    measure("recorded", ours.tracer);
    measure("stock recorded", stock.tracer);
    measure("unsampled", unsampled);
    measure("stock unsampled", stockUnsampled);
  }
  context.disable();
  const expected = 2 * pairs * (rounds + 1);
  for (const [who, written] of [
    ["we", ours.written()],
    ["the stock SDK", stock.written()],
  ])
    if (written !== expected) throw new Error(`of ${expected} spans ${who} wrote ${written}`);
  const [recorded = 0, stockRecorded = 0, dropped = 0, stockDropped = 0] = Object.values(times).map(median);
  note(`the stock SDK: ${round(stockRecorded)} ns recorded, ${round(stockDropped)} ns unsampled`);
  return {
    recorded_ratio: round(ratio(times, "recorded")),
    unsampled_ratio: round(ratio(times, "unsampled")),
    recorded_ns: round(recorded),
    unsampled_ns: round(dropped),
  };
};

/** The median of what one round's turns have to one another. */
function ratio(times: Readonly<Record<string, number[]>>, name: string): number {
  const stock = times[`stock ${name}`] ?? [];
  return median((times[name] ?? []).map((time, round) => time / (stock[round] as number)));
}

function ourTracer(): { tracer: Tracer; written: () => number } {
  let count = 0;
  const provider = createSpanProvider({
    sampler: parentBased({ root: alwaysOn() }),
    chunkBytes: CHUNK_BYTES,
    chunkSpans: BATCH,
    onChunk(chunk) {
      count += chunk.count;
    },
  });
  const written = (): number => {
    provider.flush();
    return count;
  };
  return { tracer: provider.getTracer("bench"), written };
}

function stockTracer(): { tracer: Tracer; written: () => number } {
  let count = 0;
  let batch: ReadableSpan[] = [];
  const write = (): void => {
    if (ProtobufTraceSerializer.serializeRequest(batch)?.length) count += batch.length;
    batch = [];
  };
  const processor: SpanProcessor = {
    onStart() {},
    onEnd(span) {
      batch.push(span);
      if (batch.length === BATCH) write();
    },
    forceFlush: async () => {},
    shutdown: async () => {},
  };
  const written = (): number => {
    if (batch.length > 0) write();
    return count;
  };
  return { tracer: new TracerProvider({ spanProcessors: [processor] }).getTracer("bench"), written };
}

function spans(tracer: Tracer, pairs: number): void {
  for (let index = 0; index < pairs; index++)
    tracer.startActiveSpan(
      "GET /users/:id",
      {
        kind: 1,
        attributes: {
          "http.request.method": "GET",
          "http.route": "/users/:id",
          "network.protocol.version": "1.1",
          "server.address": "example.org",
          "server.port": 443,
        },
      },
      (span) => {
        const child = tracer.startSpan("SELECT users", { kind: 2 });
        child.setAttribute("db.namespace", "users");
        child.setAttribute("db.response.returned_rows", index);
        child.setAttribute("db.system.name", "postgresql");
        child.addEvent("cache.miss", { key: "u17" });
        child.end();
        span.setAttribute("http.response.status_code", 200);
        span.end();
      },
    );
}
