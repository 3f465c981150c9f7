/** Worker thread of span export: makes requests of chunks, compresses and sends them. */
import { parentPort, workerData } from "node:worker_threads";
import { seededRandom, serveChannel, systemClock } from "@x0tta6bl4/core";
import { otlpDestination } from "../otlp/http-client.ts";
import { traceRequest } from "../otlp/trace-request.ts";
import type { Scope } from "../tracing/provider.ts";
import { type Chunk, openDelivery } from "./delivery.ts";
import type { SpanExportContract, SpanExportOptions, SpanMessage } from "./span-export.ts";

const options = workerData as SpanExportOptions;
const port = parentPort;
if (port === null) throw new Error("worker.ts runs in a worker thread");
const { resource, queueBytes, queueSpans, parallel, seed } = options;
const destination = otlpDestination({
  url: new URL(options.url),
  userAgent: options.userAgent,
  encoding: "protobuf",
  headers: options.headers,
  timeoutMs: options.timeoutMs,
  isCompressed: options.isCompressed,
  nowMs: () => systemClock.nowMs(),
});
const delivery = openDelivery<Chunk>(destination, {
  random: seededRandom(seed),
  queueBytes,
  queueRecords: queueSpans,
  parallel,
});
const scopes: Scope[] = [];

serveChannel<SpanExportContract>(port, {
  spans({ chunk, scopes: added }: SpanMessage) {
    scopes.push(...added);
    delivery.put({ bytes: traceRequest(resource, scopes, [chunk]), records: chunk.count });
  },
  flush: () => delivery.flush(),
  totals: () => delivery.totals(),
  close: (deadlineMs) => delivery.close(deadlineMs),
});
