/** A capture for kernel tests: the shipped programs on throw-away namespaces, read in this thread. */
import { type Clock, type Feature, systemClock } from "@x0tta6bl4/core";
import type { CapturedFlow } from "../../../../test/lab/index.ts";
import { type Capture, openCapture } from "../capture/capture.ts";
import type { CaptureOptions } from "../capture/contract.ts";
import type { FlowEvent } from "../event.ts";
import type { Flow, FlowChange, FlowQuery } from "../flow.ts";
import { openLibc } from "../kernel/libc.ts";
import type { RecordBatch } from "../recording/record.ts";

export interface Observed extends Disposable {
  readonly capture: Capture;
  readonly features: readonly Feature[];
  readonly changes: FlowChange[];
  /** Events that those who follow were told. */
  readonly told: FlowEvent[];
  /** All events so far. */
  events(): readonly FlowEvent[];
  /** What `events` took from the recorder. */
  readonly batches: readonly RecordBatch[];
  /** Flows of one namespace as they are now, newest first. */
  flows(inode: number, query?: Partial<FlowQuery>): Flow[];
}

export const captureDefaults: CaptureOptions = {
  attach: "auto",
  interfaces: [],
  excludeInterfaces: [],
  namespaces: [],
  excludeNamespaces: [],
  maxFlows: 16_384,
  recentFlows: 4096,
  ringBytes: 1 << 20,
  readIntervalMs: 1000,
  idleMs: 60_000,
  tcpIdleMs: 7_200_000,
  maxConnections: 65_536,
  runTimeStatistics: false,
  services: [{ protocol: "udp", port: 53, application: "dns" }],
  opensslServices: [],
  scanThreshold: 100,
  floodThreshold: 1000,
  recordRequests: true,
  bounds: { dns: [0.01, 0.1, 1], connect: [0.001, 0.01, 0.1], request: [0.01, 0.1, 1] },
};

export function observe(options: Partial<CaptureOptions>, clock: Clock = systemClock): Observed {
  const changes: FlowChange[] = [];
  const events: FlowEvent[] = [];
  const told: FlowEvent[] = [];
  const batches: RecordBatch[] = [];
  let recorded = false;
  const capture = openCapture(openLibc(), { ...captureDefaults, ...options }, clock, {
    changes: (_, more) => void changes.push(...more),
    events: (_, more) => void told.push(...more),
    record(message) {
      events.push(...message.events);
      batches.push(message.batch);
      recorded = true;
    },
  });
  /** As the recording side would. */
  const takeRecords = (): void => {
    capture.record();
    if (recorded) capture.recorded(new ArrayBuffer(0));
    recorded = false;
  };
  while (capture.tend());
  return {
    capture,
    features: capture.features(),
    changes,
    told,
    batches,
    events() {
      capture.read();
      takeRecords();
      return events;
    },
    flows(inode, query = {}) {
      capture.read();
      return capture.list({ limit: 10_000, ...query }).flows.filter((flow) => flow.netns === inode);
    },
    [Symbol.dispose]: () => capture.close(),
  };
}

/** One way of a flow as text, with its packets and bytes, in the form of the lab's capture. */
export function oneWay(flows: readonly Flow[]): Record<string, { packets: number; bytes: number }> {
  const sums: Record<string, { packets: number; bytes: number }> = {};
  const add = (key: string, packets: number, bytes: number): void => {
    if (packets === 0) return;
    const sum = sums[key] ?? { packets: 0, bytes: 0 };
    sums[key] = { packets: sum.packets + packets, bytes: sum.bytes + bytes };
  };
  for (const { protocol, source, destination, packets, bytes } of flows) {
    add(wayOf(protocol, source, destination), packets.sent, bytes.sent);
    add(wayOf(protocol, destination, source), packets.received, bytes.received);
  }
  return sums;
}

/**
 * The same of what tcpdump saw. It knows no ports of later fragments; ours do.
 *
 * @param fragmented ports to which fragmented datagrams went.
 */
export function captured(
  flows: readonly CapturedFlow[],
  fragmented: readonly number[] = [],
): Record<string, { packets: number; bytes: number }> {
  const sums: Record<string, { packets: number; bytes: number }> = {};
  for (const flow of flows) {
    const isLater = flow.protocol === "udp" && flow.source.port === 0;
    const first = isLater
      ? flows.find(
          (other) =>
            other.source.ip === flow.source.ip &&
            other.destination.ip === flow.destination.ip &&
            fragmented.includes(other.destination.port),
        )
      : flow;
    const { protocol, source, destination } = first ?? flow;
    const key = wayOf(protocol, source, destination);
    const sum = sums[key] ?? { packets: 0, bytes: 0 };
    sums[key] = { packets: sum.packets + flow.packets, bytes: sum.bytes + flow.bytes };
  }
  return sums;
}

interface End {
  readonly ip: string;
  readonly port: number;
}

/** One way as text, as keys of the sums here. */
export function wayOf(protocol: string, from: End, to: End): string {
  return `${protocol} ${from.ip} ${from.port} > ${to.ip} ${to.port}`;
}
