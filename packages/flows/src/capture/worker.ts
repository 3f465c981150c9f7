/** The capturing thread: opens the kernel side when told to, then polls ring, map and devices. */
import { type MessagePort, parentPort, workerData } from "node:worker_threads";
import { compactHeapSoon, serveChannel, systemClock } from "@x0tta6bl4/core";
import { openLibc } from "../kernel/libc.ts";
import { releaseStartSoon } from "../kernel/resident.ts";
import { type Capture, openCapture } from "./capture.ts";
import type { CaptureContract } from "./contract.ts";
import { pollDelayMs } from "./poll-delay.ts";

/**
 * A full read of a crowded table takes tens of milliseconds: it then comes less often, so that it costs 4 % of a core.
 * What is asked for meanwhile is read at once.
 */
const READ_PAUSE = 25;
const READ_AT_LEAST_MS = 4000;

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const port = parentPort;
/** To the recording thread. */
const records = (workerData as { readonly records: MessagePort }).records;
let capture: Capture | undefined;
let timer: NodeJS.Timeout | undefined;
let readTimer: NodeJS.Timeout | undefined;

function opened(): Capture {
  if (capture === undefined) throw new Error("the capture is not open");
  return capture;
}

const server = serveChannel<CaptureContract>(port, {
  open(options) {
    const libc = openLibc();
    const opening = openCapture(libc, options, systemClock, {
      changes: (id, changes, dropped) => server.emit("changes", { id, changes, dropped }),
      events: (id, events) => server.emit("insight", { id, events }),
      // Its words go over without being copied.
      record: (message) => records.postMessage(message, [message.batch.words.buffer as ArrayBuffer]),
    });
    capture = opening;
    records.on("message", (memory: ArrayBuffer) => opening.recorded(memory));
    const attachRest = (): void => {
      if (capture !== opening) return;
      if (opening.tend()) setImmediate(attachRest);
      else server.emit("features", opening.features());
    };
    setImmediate(attachRest);
    const drain = (): void => {
      timer = setTimeout(drain, pollDelayMs(opening.drain(), options.ringBytes));
    };
    drain();
    let nextReadMs = 0;
    readTimer = setInterval(() => {
      const beganMs = performance.now();
      if (beganMs >= nextReadMs) {
        opening.read();
        const tookMs = performance.now() - beganMs;
        nextReadMs = beganMs + Math.min(READ_AT_LEAST_MS, READ_PAUSE * tookMs);
      }
      if (opening.tend()) attachRest();
      opening.record();
      server.emit("totals", opening.figures());
      // Devices that went away change them too.
      server.emit("features", opening.features());
    }, options.readIntervalMs);
    compactHeapSoon();
    releaseStartSoon(libc);
    return opening.features();
  },
  list: (query) => opened().list(query),
  follow: ({ id, query, updates }) => opened().follow(id, query, updates),
  unfollow: (id) => opened().unfollow(id),
  totals: () => opened().totals(),
  maps: () => opened().maps,
  swapPolicy: (request) => opened().enforcement.swap(request),
  confirmPolicy: () => opened().enforcement.confirm(),
  revertPolicy: () => opened().enforcement.revert(),
  policyFigures: () => opened().enforcement.figures(),
  admitAddresses: (addresses) => opened().enforcement.admit(addresses),
  admittedAddresses: (since) => opened().enforcement.admitted(since),
  close() {
    clearTimeout(timer);
    clearInterval(readTimer);
    if (capture !== undefined) {
      // What has happened since the last call.
      capture.read();
      capture.record();
      capture.close();
    }
    capture = undefined;
    records.close();
    // After the answer has left.
    setImmediate(() => port.close());
  },
});
