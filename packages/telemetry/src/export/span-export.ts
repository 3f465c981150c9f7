/**
 * Spans on their way out of the process: chunks go to a worker thread, which makes requests of them. Whoever ends a
 * span never waits: what the worker has not taken yet is bounded, and what exceeds it is dropped and counted.
 */
import { Worker } from "node:worker_threads";
import { type Channel, openChannel, siblingModule } from "@x0tta6bl4/core";
import type { Resource } from "../otlp/trace-request.ts";
import type { SpanChunk } from "../tracing/chunks.ts";
import type { Scope } from "../tracing/provider.ts";
import type { DeliveryTotals } from "./delivery.ts";

export interface SpanExportOptions {
  /** Whole, with its path. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly userAgent: string;
  readonly timeoutMs: number;
  readonly isCompressed: boolean;
  readonly resource: Resource;
  /** Waiting in the worker. */
  readonly queueBytes: number;
  readonly queueSpans: number;
  /** Requests under way at a time. */
  readonly parallel: number;
  readonly seed: number;
  readonly spool: { readonly folder: string; readonly maxBytes: number } | undefined;
}

export interface SpanMessage {
  readonly chunk: SpanChunk;
  /** Those that are new since the last message. */
  readonly scopes: readonly Scope[];
}

export interface SpanExportContract {
  readonly calls: {
    spans(message: SpanMessage): void;
    flush(argument: undefined): Promise<void>;
    totals(argument: undefined): DeliveryTotals;
    close(deadlineMs: number): Promise<void>;
  };
  readonly events: Record<string, never>;
}

/** Posted to the worker and not taken yet: some seconds of 40,000 spans a second while it starts. */
const UNTAKEN_BYTES = 32 * 2 ** 20;

export interface SpanExport {
  put(chunk: SpanChunk, scopes: readonly Scope[]): void;
  /** Settles once all that was put before is delivered or lost. */
  flush(): Promise<void>;
  /** Of spans; `behind` counts those that the worker had no time to take. */
  totals(): Promise<DeliveryTotals & { readonly behind: number }>;
  /** Delivers what waits within the time, and ends the worker. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

export function openSpanExport(options: SpanExportOptions): SpanExport {
  const worker = new Worker(siblingModule("worker", import.meta.url), {
    name: "x0-spans",
    workerData: options,
  });
  // A program that is done may end: whoever wants its last spans flushes or closes.
  worker.unref();
  const channel: Channel<SpanExportContract> = openChannel(worker);
  let toldScopes = 0;
  let untaken = 0;
  let behind = 0;
  let closing: Promise<void> | undefined;
  const whileNeeded = async <T>(work: () => Promise<T>): Promise<T> => {
    worker.ref();
    try {
      return await work();
    } finally {
      worker.unref();
    }
  };
  return {
    put(chunk, scopes) {
      const size = chunk.bytes.length;
      if (closing !== undefined || untaken + size > UNTAKEN_BYTES) {
        behind += chunk.count;
        return;
      }
      const message = { chunk, scopes: scopes.slice(toldScopes) };
      toldScopes = scopes.length;
      untaken += size;
      channel
        .call("spans", message, [chunk.bytes.buffer, chunk.index.buffer])
        .catch(() => {
          behind += chunk.count;
        })
        .finally(() => {
          untaken -= size;
        });
    },
    flush: () => whileNeeded(() => channel.call("flush", undefined)),
    totals: async () => ({ ...(await channel.call("totals", undefined)), behind }),
    close(deadlineMs) {
      closing ??= whileNeeded(async () => {
        await channel.call("close", deadlineMs).catch(() => undefined);
        await worker.terminate();
      });
      return closing;
    },
  };
}
