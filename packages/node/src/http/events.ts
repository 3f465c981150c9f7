import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { setImmediate } from "node:timers/promises";
import { boundedQueue, type StreamEvent } from "@x0tta6bl4/core";
import { failureOf } from "./failure.ts";

export interface EventsOptions {
  /** Aborted when the client is gone or the agent stops. */
  readonly signal: AbortSignal;
  readonly keepAliveMs: number;
  /** Most events that wait for a slow client; more are dropped and counted. */
  readonly capacity: number;
  onDropped(count: number): void;
  onFailure(error: unknown): void;
}

/**
 * Writes server-sent events (HTML Standard §9.2) until the source ends or the signal aborts. A client that reads
 * too slowly loses events and is told by `event: dropped`; it never makes the source wait or memory grow.
 */
export async function sendEvents(
  response: ServerResponse,
  source: AsyncIterable<StreamEvent>,
  options: EventsOptions,
): Promise<void> {
  const { signal, capacity } = options;
  const queue = boundedQueue<StreamEvent>(capacity);
  const stop = (): void => queue.close();
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  const keepAlive = setInterval(() => {
    if (!response.writableNeedDrain) response.write(": keep-alive\n\n");
  }, options.keepAliveMs);
  const filled = fill(queue, source, options);
  let told = 0;
  try {
    for await (const event of queue) {
      if (signal.aborted) return;
      await write(response, event, signal);
      const lost = queue.dropped - told;
      if (lost === 0 || signal.aborted) continue;
      told += lost;
      options.onDropped(lost);
      await write(response, { event: "dropped", data: { count: lost } }, signal);
    }
    if (signal.aborted) return;
    const failure = await filled;
    if (failure !== undefined) await write(response, { event: "error", data: failure }, signal);
  } finally {
    clearInterval(keepAlive);
    signal.removeEventListener("abort", stop);
    response.end();
  }
}

async function fill(
  queue: ReturnType<typeof boundedQueue<StreamEvent>>,
  source: AsyncIterable<StreamEvent>,
  { signal, capacity, onFailure }: EventsOptions,
): Promise<unknown> {
  try {
    for await (const event of source) {
      if (signal.aborted) break;
      queue.push(event);
      // A source that has many events at hand must not overrun a client that reads as fast as it can.
      if (queue.size * 2 > capacity) await setImmediate();
    }
  } catch (error) {
    if (signal.aborted) return undefined;
    onFailure(error);
    return failureOf(error).body.error;
  } finally {
    queue.close();
  }
  return undefined;
}

async function write(
  response: ServerResponse,
  { event, data }: StreamEvent,
  signal: AbortSignal,
): Promise<void> {
  if (response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`)) return;
  try {
    await once(response, "drain", { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
