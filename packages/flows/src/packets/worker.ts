/** The thread of one packet capture: it lives as long as that does. */
import { parentPort } from "node:worker_threads";
import { messageOf, serveChannel, systemClock } from "@x0tta6bl4/core";
import { openLibc } from "../kernel/libc.ts";
import type { PacketsContract } from "./contract.ts";
import { openPackets, type Packets } from "./packets.ts";

if (parentPort === null) throw new Error("this module is the entry of a worker thread");
const port = parentPort;
/** How much may be on its way to a client that reads slowly; then the kernel's ring fills, and counts what is lost. */
const MOST_UNTAKEN_BYTES = 16 << 20;
const BUSY_MS = 1;
const QUIET_MS = 20;
/** More than this in a chunk is a ring that fills as fast as it is read. */
const BUSY_BYTES = 16_384;
let packets: Packets | undefined;
let timer: NodeJS.Timeout | undefined;
let untaken = 0;

const poll = (): void => {
  const startedMs = performance.now();
  let length = 0;
  try {
    if (untaken < MOST_UNTAKEN_BYTES) {
      const blocks = (packets as Packets).poll();
      length = blocks.length;
      untaken += length;
      if (length > 0) server.emit("blocks", blocks, [blocks.buffer]);
    }
  } catch (error) {
    packets?.close();
    packets = undefined;
    server.emit("failed", messageOf(error));
    return;
  }
  // Half of a core at most: what that does not carry is lost and counted, not taken from everybody else.
  const tookMs = performance.now() - startedMs;
  timer = setTimeout(poll, length > BUSY_BYTES ? Math.max(BUSY_MS, tookMs) : QUIET_MS);
};

const server = serveChannel<PacketsContract>(port, {
  open(options) {
    packets = openPackets(openLibc(), options, systemClock);
    untaken = packets.header.length;
    timer = setTimeout(poll, QUIET_MS);
    return packets.header;
  },
  taken(bytes) {
    untaken -= bytes;
  },
  close() {
    clearTimeout(timer);
    const end = packets?.close() ?? new Uint8Array(0);
    packets = undefined;
    return end;
  },
});
