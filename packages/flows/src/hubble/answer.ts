/**
 * The answer to GetFlows: which flows, from where in the window and the history, framed for the wire. Nothing is queued
 * for a client: it reads the window at its own pace, and what has left the window by then is told as lost.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "@x0tta6bl4/core";
import { type ByteWriter, byteWriter } from "@x0tta6bl4/core";
import { encode, type Values } from "./codec.ts";
import type { FlowsRequest } from "./flows-request.ts";
import type { Emitter } from "./from-record.ts";
import { type AnswerStream, beginFrame, endFrame } from "./grpc.ts";
import type { HubbleHistory } from "./history.ts";
import { applyMask } from "./mask.ts";
import { type Entry, entriesOf } from "./order.ts";
import { getFlowsResponse, lostEventSource, nodeState } from "./schema.ts";
import type { FlowWindow } from "./window.ts";

/** So much is framed before it is sent: enough that a system call is not felt, little enough to share the thread. */
const SEND_BYTES = 65_536;
/** Flows that are looked at before others have their turn on the thread. */
const TURN_FLOWS = 2048;
/** "The last" of more than this is all: `hubble observe --all` asks for 2^64 - 1. */
const MOST_LAST = 1_000_000;

export interface FlowsSource {
  readonly window: FlowWindow;
  readonly history: HubbleHistory | undefined;
  readonly emitter: Emitter;
  readonly clock: Clock;
  /** Resolves when the window has grown, or the signal aborts. */
  grown(signal: AbortSignal): Promise<void>;
  /** Counts what left the window before a client had read it. */
  lost(count: number): void;
}

export async function answerFlows(
  source: FlowsSource,
  request: FlowsRequest,
  stream: AnswerStream,
  options: { readonly relay: boolean },
): Promise<void> {
  const { window, emitter, clock } = source;
  const out = createSender(request, emitter, stream);
  if (request.follow) stream.accept();
  if (options.relay)
    out.say({
      node_status: { state_change: nodeState.numbers["NODE_CONNECTED"], node_names: [emitter.nodeName] },
      time: clock.nowMs(),
    });
  let at = await begin(source, request, out, stream);
  while (!stream.signal.aborted && !out.done) {
    if (at < window.oldest) {
      const count = window.oldest - at;
      source.lost(count);
      at = window.oldest;
      out.take(lossOf(count, clock.nowMs()));
    }
    const turn = Math.min(window.next, at + TURN_FLOWS);
    while (at < turn && !out.done) out.take(window.entry(at++));
    await out.flush(at === window.next);
    if (at < window.next) await nextTurn();
    else if (request.follow) await source.grown(stream.signal);
    else break;
  }
  await out.flush(true);
}

function lossOf(count: number, nowMs: number): Entry {
  const lost = { source: "HUBBLE_RING_BUFFER", count, firstMs: nowMs, lastMs: nowMs } as const;
  return { timeMs: nowMs, flow: undefined, lost };
}

/** Sends what only the history has. @returns the number of the flow in the window to go on with */
async function begin(
  source: FlowsSource,
  request: FlowsRequest,
  out: Sender,
  stream: AnswerStream,
): Promise<number> {
  const { window } = source;
  const { number, first, follow, sinceMs } = request;
  if (follow && number === 0 && sinceMs === undefined) return window.next;
  if (first || sinceMs !== undefined || number === 0 || number > MOST_LAST) {
    await sendHistory(source, { fromMs: sinceMs ?? 0, skip: 0 }, out, stream);
    return window.oldest;
  }
  let missing = number;
  for (let at = window.next - 1; at >= window.oldest; at--)
    if (out.wants(window.entry(at)) && --missing === 0) return at;
  await sendHistory(source, await latestInHistory(source, missing, out, stream), out, stream);
  return window.oldest;
}

interface Beginning {
  readonly fromMs: number;
  /** Flows from there on that match, yet are not wanted. */
  readonly skip: number;
}

/** Where the last so many matching flows of the history begin. */
async function latestInHistory(
  source: FlowsSource,
  wanted: number,
  out: Sender,
  stream: AnswerStream,
): Promise<Beginning> {
  let missing = wanted;
  for await (const page of historyPages(source, { fromMs: 0, newestFirst: true })) {
    if (stream.signal.aborted) break;
    const found = page.entries.filter((entry) => out.wants(entry)).length;
    if (found >= missing) return { fromMs: page.fromMs, skip: found - missing };
    missing -= found;
  }
  return { fromMs: 0, skip: 0 };
}

async function sendHistory(
  source: FlowsSource,
  { fromMs, skip }: Beginning,
  out: Sender,
  stream: AnswerStream,
): Promise<void> {
  let skipped = 0;
  for await (const { entries } of historyPages(source, { fromMs, newestFirst: false })) {
    for (const entry of entries)
      if (skipped < skip && out.wants(entry)) skipped++;
      else out.take(entry);
    await out.flush(false);
    if (stream.signal.aborted || out.done) return;
  }
}

/** Flows of the history that the window does not have. */
async function* historyPages(
  { window, history, emitter, clock }: FlowsSource,
  { fromMs, newestFirst }: { readonly fromMs: number; readonly newestFirst: boolean },
): AsyncGenerator<{ readonly fromMs: number; readonly entries: readonly Entry[] }> {
  if (history === undefined) return;
  const isEmpty = window.oldest === window.next;
  const oldestMs = isEmpty ? clock.nowMs() + 1 : window.timeMs(window.oldest);
  if (fromMs > oldestMs) return;
  // Batches overlap a little, so a few flows of the window are older than its first.
  const held = new Set<string>();
  for (let at = window.oldest; at < window.next; at++)
    if (window.timeMs(at) <= oldestMs) held.add(window.entry(at).flow?.["uuid"]);
  for await (const page of history.flows({ fromMs, toMs: oldestMs + 1, newestFirst }))
    yield {
      fromMs: page.fromMs,
      entries: [...entriesOf(page.records, page.events, emitter)].filter(
        ({ timeMs, flow }) => timeMs <= oldestMs && !held.has(flow?.["uuid"]),
      ),
    };
}

interface Sender {
  /** Whether an entry matches the times and filters of the request. */
  wants(entry: Entry): boolean;
  /** Frames an entry if it is wanted, or if it tells of a loss, which nobody asks for and everybody needs. */
  take(entry: Entry): void;
  say(response: Values): void;
  /** Sends what is framed, all of it or only if it is much. */
  flush(all: boolean): Promise<void>;
  /** As many as were asked for, or beyond the time that was. */
  readonly done: boolean;
}

function createSender(request: FlowsRequest, { nodeName }: Emitter, stream: AnswerStream): Sender {
  const { sinceMs, untilMs, wanted, mask, follow, number } = request;
  let writer: ByteWriter = byteWriter(SEND_BYTES);
  let count = 0;
  let done = false;
  const wants = ({ timeMs, flow }: Entry): boolean =>
    flow !== undefined &&
    (sinceMs === undefined || timeMs >= sinceMs) &&
    (untilMs === undefined || timeMs <= untilMs) &&
    (wanted === undefined || wanted(flow));
  const say = (response: Values): void => {
    const start = beginFrame(writer);
    encode(writer, getFlowsResponse, { ...response, node_name: nodeName });
    endFrame(writer, start);
  };
  return {
    wants,
    take(entry) {
      if (done) return;
      const { timeMs: time, flow, lost } = entry;
      if (lost !== undefined)
        say({
          lost_events: {
            source: lostEventSource.numbers[lost.source],
            num_events_lost: lost.count,
            first: lost.firstMs,
            last: lost.lastMs,
          },
          time,
        });
      if (follow && untilMs !== undefined && time > untilMs) done = true;
      if (flow === undefined || !wants(entry)) return;
      say({ flow: applyMask(mask, flow), time });
      count++;
      if (!follow && count === number) done = true;
    },
    say,
    async flush(all) {
      if (writer.length === 0 || (!all && writer.length < SEND_BYTES)) return;
      const { bytes, length } = writer;
      writer = byteWriter(SEND_BYTES);
      await stream.send(bytes.subarray(0, length));
    },
    get done() {
      return done;
    },
  };
}
