/**
 * New connections at a steady rate, as frames: TCP from SYN to both FINs, and UDP of a question and an answer, both
 * ways on one device, as a router or a mirror port sees them. All five-tuples differ.
 */
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { openPacketSocket } from "../packet-socket.ts";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface ChurnOptions {
  readonly interfaceIndex: number;
  /** Hardware address of the device that receives. */
  readonly to: string;
  readonly flowsPerSecond: number;
  readonly flows: number;
  /** Which of the tuples come first; default 0. */
  readonly first?: number;
}

export interface ChurnReport {
  readonly flows: number;
  readonly packets: number;
  /** On layer 3. */
  readonly bytes: number;
  readonly seconds: number;
}

export interface ChurnContract extends ScriptContract {
  readonly argument: ChurnOptions;
  readonly ready: undefined;
  readonly event: never;
  readonly order: never;
  readonly result: ChurnReport;
}

/** Clients talk to the server of their number, each time from the next port. */
const CLIENTS = 1000;
const SERVERS = 250;
const FIRST_PORT = 10_000;
const PORTS = 50_000;
/** How long after its first packets a flow goes on: answer and data, then its end. */
const STAGE_TICKS = [0, 5, 20];
const TICK_MS = 1;
const SLOT_BYTES = 512;
const BATCH = 512;
const ETHERNET = 14;
const IPV4 = 20;
const TCP = 6;
const UDP = 17;
const DATA_BYTES = 200;
const ANSWER_BYTES = 300;

interface Step {
  readonly stage: number;
  readonly back: boolean;
  /** TCP flags; of UDP 0. */
  readonly flags: number;
  readonly payload: number;
}

const steps: Readonly<Record<number, readonly Step[]>> = {
  [TCP]: [
    { stage: 0, back: false, flags: 0x02, payload: 0 },
    { stage: 1, back: true, flags: 0x12, payload: 0 },
    { stage: 1, back: false, flags: 0x18, payload: DATA_BYTES },
    { stage: 1, back: true, flags: 0x18, payload: ANSWER_BYTES },
    { stage: 2, back: false, flags: 0x11, payload: 0 },
    { stage: 2, back: true, flags: 0x11, payload: 0 },
  ],
  [UDP]: [
    { stage: 0, back: false, flags: 0, payload: 40 },
    { stage: 1, back: true, flags: 0, payload: 80 },
  ],
};

serveScript<ChurnContract>(async ({ interfaceIndex, to, flowsPerSecond, flows, first = 0 }, parent) => {
  const socket = openPacketSocket(interfaceIndex, BATCH, SLOT_BYTES);
  const hardware = [...to.split(":").map((byte) => Number.parseInt(byte, 16)), 2, 0, 0, 0, 0, 1, 8, 0];
  for (let slot = 0; slot < BATCH; slot++) socket.frame(slot).set(hardware);
  let filled = 0;
  let packets = 0;
  let bytes = 0;
  const flush = (): void => {
    socket.send(filled);
    packets += filled;
    filled = 0;
  };
  const put = (flow: number, protocol: number, { back, flags, payload }: Step): void => {
    const frame = socket.frame(filled);
    const size = writePacket(frame, first + flow, protocol, back, flags, payload);
    socket.setLength(filled++, ETHERNET + size);
    bytes += size;
    if (filled === BATCH) flush();
  };
  // Its rate is what a test asks for, whatever else the machine does.
  setPriority(-15);
  parent.ready(undefined);
  const began = performance.now();
  const last = STAGE_TICKS.at(-1) as number;
  /** How many flows had begun at each of the latest ticks. */
  const begun: number[] = [];
  const done = STAGE_TICKS.map(() => 0);
  while ((done.at(-1) as number) < flows) {
    const due = Math.min(flows, Math.floor(((performance.now() - began) / 1000) * flowsPerSecond));
    begun.push(due);
    if (begun.length > last + 1) begun.shift();
    for (const [stage, ticks] of STAGE_TICKS.entries()) {
      const until = begun.at(-1 - ticks) ?? 0;
      for (let flow = done[stage] as number; flow < until; flow++) {
        const protocol = (first + flow) % 2 === 0 ? TCP : UDP;
        for (const step of steps[protocol] as readonly Step[])
          if (step.stage === stage) put(flow, protocol, step);
      }
      done[stage] = Math.max(done[stage] as number, until);
    }
    flush();
    await sleep(TICK_MS);
  }
  const seconds = (performance.now() - began) / 1000;
  socket.close();
  return { flows, packets, bytes, seconds };
});

/** From the IP header on. @returns its bytes */
function writePacket(
  frame: Uint8Array,
  tuple: number,
  protocol: number,
  back: boolean,
  flags: number,
  payload: number,
): number {
  const client = tuple % CLIENTS;
  const round = Math.floor(tuple / CLIENTS);
  const port = FIRST_PORT + (round % PORTS);
  const clientAddress = [10, 1 + (Math.floor(round / PORTS) % 250), client >> 8, client & 0xff];
  const serverAddress = [192, 0, 2, 1 + (client % SERVERS)];
  const service = protocol === TCP ? 8443 : 8125;
  const header = protocol === TCP ? 20 : 8;
  const size = IPV4 + header + payload;
  const at = ETHERNET + IPV4;
  frame.fill(0, ETHERNET, ETHERNET + size);
  frame[ETHERNET] = 0x45;
  put16(frame, ETHERNET + 2, size);
  frame[ETHERNET + 8] = 64;
  frame[ETHERNET + 9] = protocol;
  frame.set(back ? serverAddress : clientAddress, ETHERNET + 12);
  frame.set(back ? clientAddress : serverAddress, ETHERNET + 16);
  put16(frame, at, back ? service : port);
  put16(frame, at + 2, back ? port : service);
  if (protocol === TCP) {
    frame[at + 12] = 5 << 4;
    frame[at + 13] = flags;
  } else put16(frame, at + 4, header + payload);
  put16(frame, ETHERNET + 10, headerChecksum(frame));
  return size;
}

function put16(frame: Uint8Array, at: number, value: number): void {
  frame[at] = value >> 8;
  frame[at + 1] = value;
}

function headerChecksum(frame: Uint8Array): number {
  let sum = 0;
  for (let at = ETHERNET; at < ETHERNET + IPV4; at += 2)
    sum += ((frame[at] as number) << 8) | (frame[at + 1] as number);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~(sum + (sum >>> 16)) & 0xffff;
}
