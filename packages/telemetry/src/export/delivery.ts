/**
 * From an export to its peer: a bounded queue of encoded chunks, tried again with growing pauses while the peer is
 * away. What finds no room, is refused or is left at the end is counted in records. Whoever puts a chunk in never
 * waits. Flows, spans, metrics and logs leave through it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { boundedQueue, type Random } from "@x0tta6bl4/core";

/**
 * What waits for a peer that is away, and what one batch may make at once: 40,000 lines of JSON, or minutes of a
 * usual host. More belongs on a disk.
 */
const QUEUE_BYTES = 32 * 2 ** 20;
/** Small ones, a batch a second of a quiet host, must not wait without number either: four hours. */
const MOST_CHUNKS = 16_384;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export interface Chunk {
  readonly bytes: Uint8Array;
  readonly records: number;
}

export type Outcome =
  /** Some of its records may have been refused for good. */
  | { readonly kind: "delivered"; readonly rejected?: number; readonly problem?: string }
  | {
      readonly kind: "lost";
      readonly reason: "rejected" | "unreachable" | "gave_way";
      readonly problem: string;
    }
  | { readonly kind: "away"; readonly problem: string; readonly pauseMs?: number };

/** A peer or a file. Called for so many chunks at a time as the delivery says: one, by default. */
export interface Destination<C extends Chunk> {
  /** An abort means that nobody waits any more. Never throws for what a peer or a disk does. */
  deliver(chunk: C, signal: AbortSignal): Promise<Outcome>;
  close(): Promise<void>;
}

/** `gave_way`: to newer ones, on a full disk. `unsent`: left at the end; what lies on disk the next process sends. */
export type DropReason = "queue_full" | "rejected" | "unreachable" | "gave_way" | "unsent";

export interface DeliveryTotals {
  readonly records: number;
  readonly bytes: number;
  readonly retries: number;
  readonly queued: number;
  readonly dropped: ReadonlyMap<DropReason, number>;
  /** Why the latest chunk did not go through; undefined once one did. */
  readonly problem: string | undefined;
}

export interface Delivery<C extends Chunk> {
  /** Takes the chunk's bytes as its own. */
  put(chunk: C): void;
  totals(): DeliveryTotals;
  /** Settles once all that was put in before is delivered or lost. */
  flush(): Promise<void>;
  /** Delivers what waits, as far as the deadline lets it; the rest is counted as unsent. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}

export interface DeliveryOptions {
  readonly random: Random;
  readonly queueBytes?: number;
  /** Most records waiting; unbounded by default. */
  readonly queueRecords?: number;
  readonly queueChunks?: number;
  /** Chunks under way at a time; with several a peer gets them in another order. */
  readonly parallel?: number;
  readonly firstPauseMs?: number;
}

export function openDelivery<C extends Chunk>(
  destination: Destination<C>,
  {
    random,
    queueBytes = QUEUE_BYTES,
    queueRecords = Number.POSITIVE_INFINITY,
    queueChunks = MOST_CHUNKS,
    parallel = 1,
    firstPauseMs = FIRST_PAUSE_MS,
  }: DeliveryOptions,
): Delivery<C> {
  const queue = boundedQueue<C>(queueChunks);
  const dropped = new Map<DropReason, number>();
  const ending = new AbortController();
  const late = new AbortController();
  let sentRecords = 0;
  let sentBytes = 0;
  let retries = 0;
  let queued = 0;
  let queuedBytes = 0;
  let problem: string | undefined;
  const drop = (reason: DropReason, count: number): void => {
    if (count > 0) dropped.set(reason, (dropped.get(reason) ?? 0) + count);
  };

  const send = async (chunk: C): Promise<void> => {
    for (let attempt = 0; !late.signal.aborted; attempt++) {
      const outcome = await destination.deliver(chunk, late.signal);
      problem = outcome.problem;
      if (outcome.kind === "delivered") {
        const rejected = outcome.rejected ?? 0;
        drop("rejected", rejected);
        sentRecords += chunk.records - rejected;
        sentBytes += chunk.bytes.length;
        return;
      }
      if (outcome.kind === "lost") return drop(outcome.reason, chunk.records);
      retries++;
      const longest = Math.min(LONGEST_PAUSE_MS, firstPauseMs * 2 ** Math.min(attempt, 16));
      // Between half and all of it, so that the agents of a fleet do not return at one moment.
      await pause(outcome.pauseMs ?? longest * (0.5 + random.next() / 2));
    }
    drop("unsent", chunk.records);
  };
  /** At the end there is no time for long pauses. */
  const pause = async (milliseconds: number): Promise<void> => {
    const signal = ending.signal.aborted ? late.signal : ending.signal;
    const length = ending.signal.aborted ? Math.min(milliseconds, firstPauseMs) : milliseconds;
    await sleep(length, undefined, { signal }).catch(() => {});
  };
  /** The chunks that are neither delivered nor lost, in their order. */
  const open = new Map<C, PromiseWithResolvers<void>>();
  const settle = async (chunk: C): Promise<void> => {
    await send(chunk);
    queued -= chunk.records;
    queuedBytes -= chunk.bytes.length;
    open.get(chunk)?.resolve();
    open.delete(chunk);
  };
  const work = (async () => {
    const underWay = new Set<Promise<void>>();
    for await (const chunk of queue) {
      const one = settle(chunk).finally(() => underWay.delete(one));
      underWay.add(one);
      if (underWay.size >= parallel) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    await destination.close();
  })();

  return {
    put(chunk) {
      const { bytes, records } = chunk;
      const isFull = queuedBytes + bytes.length > queueBytes || queued + records > queueRecords;
      if (isFull || !queue.push(chunk)) return drop("queue_full", records);
      queued += records;
      queuedBytes += bytes.length;
      open.set(chunk, Promise.withResolvers());
    },
    async flush() {
      await Promise.all([...open.values()].map(({ promise }) => promise));
    },
    totals: () => ({ records: sentRecords, bytes: sentBytes, retries, queued, dropped, problem }),
    async close(deadlineMs) {
      queue.close();
      ending.abort();
      const timer = setTimeout(() => late.abort(), deadlineMs);
      await work;
      clearTimeout(timer);
    },
  };
}
