/**
 * One iperf3 stream between two namespaces, at full speed in windows and silent between them: the sender is stopped
 * and continued, so that all windows of a bench are of the same sockets. Its goodput is read from the receiver.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { type Namespace, type Running, start } from "../../test/lab/index.ts";

export interface StreamOptions {
  readonly sender: Namespace;
  readonly receiver: Namespace;
  /** The receiver's address. */
  readonly host: string;
  readonly port: number;
  /** Arguments of the client: `-u -b 0 -l 64`. */
  readonly client: readonly string[];
}

/** Totals of the receiver's namespace, but for the segments. */
export interface Counters {
  /** Of its eth0. */
  readonly receivedPackets: number;
  readonly receivedBytes: number;
  readonly sentPackets: number;
  /** Of TCP, that both sides sent; a buffer that offload has still to split counts as many as it holds. */
  readonly segmentsSent: number;
  /** Datagrams that processes have read. */
  readonly datagramsRead: number;
}

export interface Window {
  readonly seconds: number;
  /** What the receiver counted in it. */
  readonly counted: Counters;
}

export interface Stream extends AsyncDisposable {
  /** A window of the stream at full speed, some time after its start; the stream is silent again when it returns. */
  window(): Promise<Window>;
  counters(): Counters;
}

/** Into a pipe it would keep its lines back. */
const lineByLine = ["stdbuf", "-oL"];
const WARM_UP_MS = 100;
const WINDOW_MS = 250;

export async function startStream({ sender, receiver, host, port, client }: StreamOptions): Promise<Stream> {
  const at = String(port);
  const server = await start([...lineByLine, "iperf3", "-s", "-1", "-p", at], /listening/i, {
    places: receiver,
  });
  let running: Running;
  try {
    const command = [...lineByLine, "iperf3", "-c", host, "-p", at, "-t", "3600", "-i", "0", ...client];
    running = await start(command, /connected to/, { places: sender });
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
  const counters = (): Counters => countersOf(server.pid, running.pid);
  const silence = async (): Promise<void> => {
    running.kill("SIGSTOP");
    // What is in socket buffers still arrives.
    for (let before = "", now = ""; before === "" || now !== before; ) {
      before = now;
      await sleep(20);
      now = JSON.stringify(counters());
    }
  };
  await silence();
  return {
    counters,
    async window() {
      running.kill("SIGCONT");
      await sleep(WARM_UP_MS);
      const [before, began] = [counters(), performance.now()];
      await sleep(WINDOW_MS);
      const [after, ended] = [counters(), performance.now()];
      await silence();
      return { seconds: (ended - began) / 1000, counted: difference(after, before) };
    },
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

export function difference(after: Counters, before: Counters): Counters {
  const names = Object.keys(after) as (keyof Counters)[];
  return Object.fromEntries(names.map((name) => [name, after[name] - before[name]])) as unknown as Counters;
}

/** By processes in the namespaces. */
function countersOf(receiver: number, sender: number): Counters {
  const device = /^\s*eth0:(.*)$/m.exec(readFileSync(`/proc/${receiver}/net/dev`, "utf8"))?.[1] ?? "";
  const columns = device.trim().split(/\s+/).map(Number);
  const [receivedBytes = 0, receivedPackets = 0] = columns;
  return {
    receivedPackets,
    receivedBytes,
    sentPackets: columns[9] ?? 0,
    segmentsSent: segmentsSent(receiver) + segmentsSent(sender),
    datagramsRead: snmp(receiver, "Udp", "InDatagrams"),
  };
}

/** InSegs would count a buffer once; OutSegs leaves out what is sent again. */
function segmentsSent(pid: number): number {
  return snmp(pid, "Tcp", "OutSegs") + snmp(pid, "Tcp", "RetransSegs");
}

function snmp(pid: number, group: string, name: string): number {
  const lines = readFileSync(`/proc/${pid}/net/snmp`, "utf8").split("\n");
  const [names = "", values = ""] = lines.filter((line) => line.startsWith(`${group}: `));
  return Number(values.split(" ")[names.split(" ").indexOf(name)]);
}
