import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@x0tta6bl4/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { DnsEvent, DropEvent, FlowEvent } from "../event.ts";
import type { Flow } from "../flow.ts";
import { type History, openHistory } from "../history/history.ts";
import { RECORD_WORDS, readBatch, recordWord } from "../recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../testing/record-traffic.ts";
import { batchOf } from "../testing/records.ts";
import { type Summary, summaryQuerySchema, summarySchema } from "./schema.ts";
import { summaryText } from "./show.ts";

const startMs = Date.UTC(2026, 10, 1);
let folder: string;
let traffic: RecordTraffic;
let history: History;
/** What each record added, the naive way. */
let told: { flow: Flow; bytes: number; packets: number }[];

const clock: Clock = {
  nowMs: () => traffic.nowMs,
  monotonicNs: () => BigInt(traffic.nowMs) * 1_000_000n,
};

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-summary-"));
  traffic = recordTraffic({ seed: 3, startMs, flowsPerSecond: 200, updateSeconds: 4 });
  told = [];
  history = openHistory({ folder, maxBytes: 1e9, maxAgeMs: 1e10, run: startMs, clock, maxFlows: 65_536 });
});
afterEach(async () => {
  await history.close(1000);
  rmSync(folder, { recursive: true, force: true });
});

function record(seconds: number): void {
  for (let second = 0; second < seconds; second++) {
    const reader = readBatch(traffic.next());
    history.take(reader, []);
    for (let index = 0; index < reader.batch.count; index++) {
      const at = (word: number, which: number) =>
        reader.doubles[(index * RECORD_WORDS + word) / 2 + which] as number;
      const added = (which: number) =>
        at(recordWord.sentPacketsF64, which) - at(recordWord.earlierF64, which);
      told.push({ flow: reader.flow(index), packets: added(0) + added(1), bytes: added(2) + added(3) });
    }
  }
}

function summary(query: Record<string, string> = {}): Promise<Summary> {
  return history.summary(summaryQuerySchema.parse(query)).then((answer) => summarySchema.parse(answer));
}

/** The largest by bytes, as the answer has them. */
function largest(keysOf: (flow: Flow) => readonly string[], count: number): [string, number][] {
  const sums = new Map<string, number>();
  for (const { flow, bytes } of told)
    for (const key of new Set(keysOf(flow))) sums.set(key, (sums.get(key) ?? 0) + bytes);
  return [...sums].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, count);
}

test("sums equal those of a naive account, whatever was written and whatever waits", async () => {
  for (const seconds of [1, 30, 60]) {
    record(seconds);
    const { total, talkers, services, processes, estimated } = await summary({ top: "20" });
    expect(total.bytes).toBe(told.reduce((sum, each) => sum + each.bytes, 0));
    expect(total.packets).toBe(told.reduce((sum, each) => sum + each.packets, 0));
    expect(talkers.map(({ ip, bytes }) => [ip, bytes])).toEqual(
      largest(({ source, destination }) => [source.ip, destination.ip], 20),
    );
    const serviceOf = (flow: Flow) => [`${flow.destination.ip} ${flow.destination.port} ${flow.protocol}`];
    expect(services.map(({ ip, port, protocol, bytes }) => [`${ip} ${port} ${protocol}`, bytes])).toEqual(
      largest(serviceOf, 20),
    );
    const processOf = ({ process }: Flow) =>
      process === null ? [] : [JSON.stringify([process.comm, process.unit, process.container])];
    expect(
      processes.map((each) => [JSON.stringify([each.process, each.unit, each.container]), each.bytes]),
    ).toEqual(largest(processOf, 20));
    expect(estimated).toEqual([]);
  }
});

test("flows are counted once, when they have told something", async () => {
  record(40);
  const ended = new Set(told.filter(({ flow }) => flow.state === "ended").map(({ flow }) => flow.id));
  const active = new Set(told.filter(({ packets }) => packets > 0).map(({ flow }) => flow.id));
  expect(ended.size).toBeGreaterThan(1000);
  expect((await summary()).total.flows).toBe(active.size);
});

test("a destination is new if it was not met in the time before", async () => {
  record(60);
  const middle = new Date(traffic.nowMs).toISOString();
  const isOutward = ({ flow }: { flow: Flow }) => flow.direction === "egress" && flow.place === "local";
  const known = new Set(told.filter(isOutward).map(({ flow }) => flow.destination.ip));
  record(30);
  const later = told.filter(isOutward).filter(({ flow }) => flow.end >= middle);
  const fresh = new Set(later.map(({ flow }) => flow.destination.ip));
  // Flows that went on from before have rows there too.
  for (const ip of known) fresh.delete(ip);
  const { newDestinations, compared } = await summary({ since: middle, top: "1000" });
  expect(new Set(newDestinations.map(({ ip }) => ip))).toEqual(fresh);
  expect(compared.isComplete).toBe(false);
});

test("drops, failures of DNS and scans come from events, and hostile names stay text", async () => {
  const flow = readBatch(traffic.next()).flow(0);
  const { source, destination, protocol, netns, process } = flow;
  const time = new Date(traffic.nowMs).toISOString();
  const parties = { time, flow: flow.id, source, destination, protocol, netns, process };
  const name = "\u001b[2Jevil\u202e.example";
  const dns: Omit<DnsEvent, "rcode"> = {
    ...parties,
    kind: "dns",
    name,
    type: "A",
    answers: [],
    ttlSeconds: null,
    latencyMs: 2,
  };
  const drop: Omit<DropEvent, "reason"> = {
    ...parties,
    kind: "drop",
    fromSource: true,
    tcpFlags: [],
    bytes: 60,
    interface: null,
  };
  const events: FlowEvent[] = [
    { ...dns, rcode: "NXDOMAIN" },
    { ...dns, rcode: "NXDOMAIN" },
    { ...dns, rcode: null },
    { ...dns, name: "fine.example", rcode: "NOERROR" },
    { ...drop, reason: "NO_SOCKET" },
    { ...drop, reason: "NO_SOCKET" },
    { ...drop, reason: "NETFILTER_DROP" },
    { ...parties, kind: "scan", scan: "ports", count: 120, seconds: 20 },
    { ...parties, kind: "scan", scan: "ports", count: 900, seconds: 50 },
  ];
  history.take(readBatch(batchOf([flow], { fromMs: traffic.nowMs - 1000, toMs: traffic.nowMs })), events);
  traffic.next();
  const answer = await summary();
  expect(answer.drops).toEqual([
    { reason: "NO_SOCKET", packets: 2 },
    { reason: "NETFILTER_DROP", packets: 1 },
  ]);
  expect(answer.dnsFailures).toEqual([
    { name, rcode: "NXDOMAIN", count: 2 },
    { name, rcode: null, count: 1 },
  ]);
  expect(answer.scans).toEqual([
    { ip: source.ip, scan: "ports", target: destination.ip, count: 900, latest: time },
  ]);
  const text = summaryText(answer);
  expect(text).toContain("evil");
  for (const control of ["\u001b", "\u202e"]) expect(text).not.toContain(control);
});
