/** The recording thread: hands each batch of the capturing one to history, the Hubble API and the exports. */
import { hostname } from "node:os";
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { type Feature, seededRandom, serveChannel, systemClock } from "@x0tta6bl4/core";
import type { RecordMessage } from "../capture/recorder.ts";
import { openExports } from "../export/exports.ts";
import type { RecordingContract, RecordingOptions } from "./contract.ts";
import { readBatch } from "./record.ts";
import type { Sink } from "./sink.ts";

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const port = parentPort;
/** From the capturing thread. */
const records = (workerData as { readonly records: MessagePort }).records;
let sinks: readonly Sink[] = [];

function openSinks({ config, version }: RecordingOptions): readonly Sink[] {
  const context = {
    clock: systemClock,
    random: seededRandom(process.pid),
    hostName: hostname(),
    version,
  };
  return openExports(config.exports, context);
}

const features = (): readonly Feature[] => sinks.flatMap((sink) => sink.features());

const server = serveChannel<RecordingContract>(port, {
  open(options) {
    sinks = openSinks(options);
    records.on("message", ({ batch, events }: RecordMessage) => {
      const reader = readBatch(batch);
      for (const sink of sinks) sink.take(reader, events);
      records.postMessage("taken");
      server.emit("features", features());
      server.emit(
        "samples",
        sinks.flatMap((sink) => sink.samples()),
      );
    });
    return features();
  },
  async close(deadlineMs) {
    await Promise.all(sinks.map((sink) => sink.close(deadlineMs)));
    sinks = [];
    records.close();
    setImmediate(() => port.close());
  },
});
