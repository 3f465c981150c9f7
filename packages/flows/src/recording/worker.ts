/** The recording thread: hands each batch of the capturing one to history, the Hubble API and the exports. */
import { hostname } from "node:os";
import { join } from "node:path";
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import {
  compactHeapSoon,
  type Feature,
  parseDuration,
  parseSize,
  seededRandom,
  serveChannel,
  systemClock,
} from "@x0tta6bl4/core";
import type { RecordMessage } from "../capture/recorder.ts";
import { flowsFail } from "../errors.ts";
import { type History, openHistory } from "../history/history.ts";
import { type Hubble, openHubble } from "../hubble/hubble.ts";
import { createLocalAddresses } from "../hubble/local-addresses.ts";
import { storedFlows } from "../hubble/stored-flows.ts";
import { serveReplays } from "../policy/rehearse/replays.ts";
import type { RecordingContract, RecordingOptions } from "./contract.ts";
import { readBatch } from "./record.ts";
import type { Sink } from "./sink.ts";

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const port = parentPort;
/** From the capturing thread. */
const records = (workerData as { readonly records: MessagePort }).records;
let sinks: readonly Sink[] = [];
let history: History | undefined;
let hubble: Hubble | undefined;

async function openSinks({ config, folder, version, startedMs }: RecordingOptions): Promise<readonly Sink[]> {
  if (config.history)
    history = openHistory({
      folder: join(folder, "history"),
      maxBytes: parseSize(config.history_size),
      maxAgeMs: parseDuration(config.history_age),
      maxFlows: 2 * config.max_flows,
      run: startedMs,
      clock: systemClock,
    });
  hubble = await openHubble({
    listen: config.hubble_listen,
    relayListen: config.hubble_relay_listen,
    metrics: config.hubble_metrics,
    version,
    clock: systemClock,
    ...(history === undefined ? {} : { history: storedFlows(history) }),
  });
  if (config.exports.length === 0) return [...(history === undefined ? [] : [history]), hubble];
  // Encoders and clients of every kind, which most hosts have no use for.
  const { openExports } = await import("../export/exports.ts");
  const exports = openExports(config.exports, {
    clock: systemClock,
    random: seededRandom(startedMs),
    hostName: hostname(),
    version,
    isLocal: createLocalAddresses(systemClock),
  });
  return [...(history === undefined ? [] : [history]), hubble, ...exports];
}

const features = (): readonly Feature[] => [
  ...(history === undefined
    ? [{ name: "history", state: "off", reason: "turned off by flows.history" } as const]
    : []),
  ...sinks.flatMap((sink) => sink.features()),
];

function opened(): History {
  if (history !== undefined) return history;
  throw flowsFail("X0_FLOWS_NO_HISTORY", "flows are not kept on disk: turned off by flows.history", {
    hint: "set flows.history = true",
  });
}

function take({ batch, events, isPart }: RecordMessage): void {
  const reader = readBatch(batch);
  for (const sink of sinks) sink.take(reader, events);
  // Back to where it came from, for a batch to come.
  const memory = batch.words.buffer as ArrayBuffer;
  records.postMessage(memory, [memory]);
  if (isPart) return;
  server.emit("features", features());
  server.emit("figures", {
    samples: sinks.flatMap((sink) => sink.samples()),
    observations: hubble?.observations() ?? [],
  });
}

const server = serveChannel<RecordingContract>(port, {
  async open(options) {
    sinks = await openSinks(options);
    records.on("message", take);
    compactHeapSoon();
    return features();
  },
  flows: (query) => opened().flows(query),
  events: (query) => opened().events(query),
  summary: (query) => opened().summary(query),
  ...serveReplays(opened),
  async close(deadlineMs) {
    // The last batch was sent before this call, but on another line: it may not have been met yet.
    for (let last = receiveMessageOnPort(records); last !== undefined; last = receiveMessageOnPort(records))
      take(last.message as RecordMessage);
    await Promise.all(sinks.map((sink) => sink.close(deadlineMs)));
    sinks = [];
    records.close();
    setImmediate(() => port.close());
  },
});
