import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, seededRandom } from "@x0tta6bl4/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FlowEvent } from "../event.ts";
import { readBatch } from "../recording/record.ts";
import { batchOf } from "../testing/records.ts";
import { compileEventFilter } from "./event-query.ts";
import { type EventQuery, eventListSchema, eventQuerySchema } from "./event-schema.ts";
import { type History, openHistory } from "./history.ts";
import { startMs } from "./testing/simulated.ts";

let folder: string;
let history: History;
let nowMs: number;
/** As they should be answered, oldest first. */
let kept: FlowEvent[];

const clock: Clock = { nowMs: () => nowMs, monotonicNs: () => BigInt(nowMs) * 1_000_000n };
const open = (): History =>
  openHistory({ folder, maxBytes: 1e9, maxAgeMs: 1e9, run: startMs, clock, maxFlows: 1024 });

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-events-"));
  nowMs = startMs;
  kept = [];
  history = open();
});
afterEach(async () => {
  await history.close(1000);
  rmSync(folder, { recursive: true, force: true });
});

const random = seededRandom(4);
const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;

function event(timeMs: number): FlowEvent {
  const parties = {
    time: new Date(timeMs).toISOString(),
    flow: random.below(4) === 0 ? null : String(1024 + random.below(50)),
    source: { ip: `10.0.0.${random.below(8)}`, port: 40_000 + random.below(9), name: null },
    destination: {
      ip: pick(["10.0.1.1", "2001:db8::7", "203.0.113.9"]),
      port: 53,
      name: pick([null, "db.internal.example"]),
    },
    protocol: "udp",
    netns: 1,
    process: null,
  };
  switch (pick(["dns", "drop", "scan"] as const)) {
    case "dns":
      return {
        kind: "dns",
        ...parties,
        name: pick(["a.example", "b.a.example", "\u001b[2J\u202e\ud800 '\"\\"]),
        type: "A",
        rcode: pick(["NOERROR", "NXDOMAIN", null]),
        answers: ["192.0.2.1"],
        ttlSeconds: 60,
        latencyMs: 1.5,
      };
    case "drop":
      return {
        kind: "drop",
        ...parties,
        reason: "NO_SOCKET",
        fromSource: true,
        tcpFlags: ["SYN"],
        bytes: 60,
        interface: "eth0",
      };
    default:
      return { kind: "scan", ...parties, scan: "ports", count: 120, seconds: 9 };
  }
}

function record(seconds: number, perSecond: number): void {
  for (let second = 0; second < seconds; second++) {
    const events = Array.from({ length: perSecond }, () => event(nowMs + random.below(1000)));
    history.take(readBatch(batchOf([], { fromMs: nowMs, toMs: nowMs + 1000 })), events);
    for (const each of events)
      kept.push({ ...each, flow: each.flow === null ? null : `${startMs.toString(36)}-${each.flow}` });
    nowMs += 1000;
  }
}

async function read(query: Partial<EventQuery> = {}): Promise<FlowEvent[]> {
  const events: FlowEvent[] = [];
  let after: string | null = null;
  do {
    const asked: EventQuery = eventQuerySchema.parse({
      limit: 300,
      ...query,
      ...(after === null ? {} : { after }),
    });
    const page = eventListSchema.parse(await history.events(asked));
    events.push(...page.events);
    after = page.next;
  } while (after !== null);
  return events;
}

/** Newest first; of one millisecond, the later told one first. */
function wanted(query: Partial<EventQuery> = {}): FlowEvent[] {
  const { matches } = compileEventFilter(query, nowMs);
  return kept
    .filter(matches)
    .map((each, index) => ({ each, index }))
    .sort((a, b) => (a.each.time < b.each.time ? 1 : a.each.time > b.each.time ? -1 : b.index - a.index))
    .map(({ each }) => each);
}

const queries: Partial<EventQuery>[] = [
  {},
  { kind: "dns" },
  { kind: "scan", ip: "10.0.0.3" },
  { ip: "2001:db8::/32" },
  { ip: "192.0.2.77" },
  { name: "*.a.example" },
  { name: "db.internal.example", kind: "drop" },
  { name: "\u001b[2J\u202e\ud800 '\"\\" },
  { flow: `${startMs.toString(36)}-1030` },
  { since: "15s", until: "5s" },
];

test("each event comes back as it was, by every filter, written or waiting, and after a restart", async () => {
  record(30, 90);
  for (const query of queries) expect(await read(query)).toEqual(wanted(query));
  await history.close(1000);
  history = open();
  for (const query of queries) expect(await read(query)).toEqual(wanted(query));
});

test("requests are not kept one by one", async () => {
  const { time, flow, source, destination, protocol, netns, process } = event(nowMs);
  const parties = { time, flow, source, destination, protocol, netns, process };
  const request = { application: "http", method: "GET", target: "/", status: "200" } as const;
  history.take(readBatch(batchOf([], { fromMs: nowMs, toMs: nowMs + 1000 })), [
    { kind: "request", ...parties, ...request, isError: false, latencyMs: 2, encrypted: false },
  ]);
  expect(await read()).toEqual([]);
});

test("a flood is bounded, and what was too many is counted", async () => {
  record(1, 6000);
  const flood = await read();
  const { covers } = await history.events(eventQuerySchema.parse({}));
  expect(flood).toHaveLength(1500);
  expect(covers.lostEvents).toBe(4500);
  record(1, 100);
  expect(await read({ since: "1s" })).toHaveLength(100);
});
