/** Worker thread of span export: makes requests of chunks, compresses and sends them. */
import { parentPort, workerData } from "node:worker_threads";
import { seededRandom, serveChannel, systemClock } from "@x0tta6bl4/core";
import { otlpDestination } from "../otlp/http-client.ts";
import { traceRequest } from "../otlp/trace-request.ts";
import type { Scope } from "../tracing/provider.ts";
import { openDelivery } from "./delivery.ts";
import type { SpanExportContract, SpanExportOptions, SpanMessage } from "./span-export.ts";
import { openSpool } from "./spool.ts";
import { chunkOf, spooledChunk, spooledDestination } from "./spooled.ts";

/** Their bytes are on disk, a few words each in memory. */
const MOST_SPOOLED = 2 ** 20;
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
const spool = options.spool && openSpool(options.spool.folder, options.spool.maxBytes);
const delivery = openDelivery(spool === undefined ? destination : spooledDestination(destination, spool), {
  random: seededRandom(seed),
  queueBytes,
  queueRecords: queueSpans,
  ...(spool === undefined ? {} : { queueChunks: MOST_SPOOLED }),
  parallel,
});
for (const entry of spool?.left ?? []) delivery.put(chunkOf(entry));
const scopes: Scope[] = [];

serveChannel<SpanExportContract>(port, {
  spans({ chunk, scopes: added }: SpanMessage) {
    scopes.push(...added);
    const bytes = traceRequest(resource, scopes, [chunk]);
    delivery.put(
      spool === undefined ? { bytes, records: chunk.count } : spooledChunk(spool, bytes, chunk.count),
    );
  },
  flush: () => delivery.flush(),
  totals: () => delivery.totals(),
  close: (deadlineMs) => delivery.close(deadlineMs),
});
