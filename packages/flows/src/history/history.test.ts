import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock } from "@x0tta6bl4/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { compileFilter } from "../filter.ts";
import { type Flow, type FlowQuery, flowListSchema, flowQuerySchema } from "../flow.ts";
import { readBatch } from "../recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../testing/record-traffic.ts";
import { compareCursors, cursorOf } from "./cursor.ts";
import { type History, openHistory } from "./history.ts";
import { qualified } from "./rows.ts";

const startMs = Date.UTC(2026, 10, 1);
let folder: string;
let traffic: RecordTraffic;
let history: History;
/** What a history should answer: each flow's latest state, newest first. */
let expected: Map<string, Flow>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-history-"));
  traffic = recordTraffic({ seed: 7, startMs, flowsPerSecond: 150, updateSeconds: 5 });
  expected = new Map();
});
afterEach(async () => {
  await history.close(1000);
  rmSync(folder, { recursive: true, force: true });
});

const clock: Clock = {
  nowMs: () => traffic.nowMs,
  monotonicNs: () => BigInt(traffic.nowMs) * 1_000_000n,
};

function open(run = startMs): History {
  history = openHistory({ folder, maxBytes: 1e9, maxAgeMs: 1e9, run, clock, maxFlows: 65_536 });
  return history;
}

function record(seconds: number, run = startMs): void {
  for (let second = 0; second < seconds; second++) {
    const batch = traffic.next();
    const reader = readBatch(batch);
    history.take(reader, []);
    for (let index = 0; index < batch.count; index++) {
      const flow = reader.flow(index);
      const id = qualified(run, flow.id);
      expected.set(id, { ...flow, id });
    }
  }
}

function wanted(query: Partial<FlowQuery> = {}): Flow[] {
  const matches = compileFilter(query, traffic.nowMs);
  return [...expected.values()].filter(matches).sort((a, b) => compareCursors(cursorOf(a), cursorOf(b)));
}

async function read(query: Partial<Record<keyof FlowQuery, unknown>> = {}): Promise<Flow[]> {
  const flows: Flow[] = [];
  let after: string | null = null;
  do {
    const page = flowListSchema.parse(
      await history.flows(
        flowQuerySchema.parse({ limit: 1000, ...query, ...(after === null ? {} : { after }) }),
      ),
    );
    flows.push(...page.flows);
    after = page.next;
  } while (after !== null);
  return flows;
}

test("every flow comes back once, with its latest state, newest first", async () => {
  open();
  record(120);
  expect(await read()).toEqual(wanted());
  expect(wanted().filter(({ state }) => state === "active").length).toBeGreaterThan(10);
});

test.each<Partial<FlowQuery>>([
  { ip: "10.0.0.10" },
  { ip: "203.0.0.0/16" },
  { ip: "2001:db8::/32" },
  { port: 5432 },
  { port: 0 },
  { protocol: "icmp" },
  { process: "curl" },
  { unit: "nginx" },
  { container: "3f4e9d1c8a7b" },
  { name: "*.service-3.example" },
  { name: "resolver-1.internal.example" },
  { dropped: "true" },
  { dropped: "false", protocol: "udp" },
  { since: "10s" },
  { until: "30s", since: "40s", port: 443 },
])("filter ≡ post-filter: %j", async (query) => {
  open();
  record(60);
  const flows = await read(query);
  expect(flows).toEqual(wanted(query));
  expect(flows.length).toBeGreaterThan(0);
});

test("a flow can be asked for by its id", async () => {
  open();
  record(30);
  const flow = wanted().at(-5) as Flow;
  expect(await read({ id: flow.id })).toEqual([flow]);
  expect(await read({ id: "nonsense" })).toEqual([]);
});

test("after a restart the flows of the run before are there, and have ended", async () => {
  open();
  record(60);
  await history.close(1000);
  for (const [id, flow] of expected) expected.set(id, { ...flow, state: "ended" });
  const second = traffic.nowMs;
  open(second);
  expect(await read()).toEqual(wanted());
  record(10, second);
  expect(await read({ since: "10s" })).toEqual(wanted({ since: "10s" }));
});
