import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@x0tta6bl4/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { compileFilter } from "../filter.ts";
import type { Flow, FlowList, FlowQuery } from "../flow.ts";
import { mergedFlows } from "./merge.ts";
import { inOrder, readAll, type Simulated, simulated, startMs } from "./testing/simulated.ts";

let folder: string;
let simulation: Simulated;
/** Of the flows of this run: those that go on, and the latest that ended; with the kernel's numbers. */
let inMemory: Flow[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "x0-merge-"));
  simulation = simulated(folder, { flowsPerSecond: 60 });
  simulation.record(15);
  await simulation.history.close(1000);
  for (const [id, flow] of simulation.expected) simulation.expected.set(id, { ...flow, state: "ended" });
  simulation.open();
  simulation.record(15);
  const run = (startMs + 15_000).toString(36);
  const own = simulation.wanted().filter(({ id }) => id.startsWith(`${run}-`));
  const ended = own.filter(({ state }) => state === "ended").slice(0, 200);
  const kept = [...own.filter(({ state }) => state === "active"), ...ended];
  inMemory = kept.map((flow) => {
    // Memory knows better: packets have come since the record.
    const newer: Flow = { ...flow, packets: { ...flow.packets, sent: flow.packets.sent + 1 } };
    if (flow.state === "active") simulation.expected.set(flow.id, newer);
    const id = flow.id.slice(run.length + 1);
    return flow.state === "active" ? { ...newer, id } : { ...flow, id };
  });
});
afterAll(async () => {
  await simulation.history.close(1000);
  rmSync(folder, { recursive: true, force: true });
});

/**
 * A table's pages as the capturing thread gives them: by start, and within one millisecond in an order that the
 * start does not tell.
 */
async function live(query: FlowQuery): Promise<FlowList> {
  const random = seededRandom(9);
  const finer = new Map(inMemory.map((flow) => [flow, Date.parse(flow.start) + random.next()]));
  const matches = compileFilter(query, simulation.traffic.nowMs);
  const flows = inMemory.filter(matches).sort((a, b) => (finer.get(b) as number) - (finer.get(a) as number));
  const from = query.after === undefined ? 0 : Number(query.after);
  const limit = Math.min(query.limit, 40);
  const next = from + limit < flows.length ? String(from + limit) : null;
  const time = new Date(simulation.traffic.nowMs).toISOString();
  return { flows: flows.slice(from, from + limit), next, covers: { from: time, to: time, lostPackets: 3 } };
}

const merged = (query: FlowQuery, keeps = true): Promise<FlowList> =>
  mergedFlows(
    { live, kept: keeps ? (asked) => simulation.history.flows(asked) : undefined, run: startMs + 15_000 },
    query,
    simulation.traffic.nowMs,
  );

test.each<Partial<FlowQuery>>([
  {},
  { limit: 7 },
  { limit: 1000 },
  { protocol: "udp", limit: 20 },
  { ip: "203.0.0.0/16" },
  { since: "8s", until: "2s", limit: 30 },
])("memory and disk are one list, each flow once: %j", async (query) => {
  const flows = await readAll({ flows: (asked) => merged(asked) }, query);
  expect(flows).toEqual(simulation.wanted(query));
});

test("without a history it is memory's list", async () => {
  const flows = await readAll({ flows: (asked) => merged(asked, false) }, { limit: 30 });
  const run = (startMs + 15_000).toString(36);
  expect(flows).toEqual(inOrder(inMemory.map((flow) => ({ ...flow, id: `${run}-${flow.id}` }))));
});

test("a flow is found by its id, in this run and in one before, with the run or without", async () => {
  const own = simulation.wanted()[3] as Flow;
  const older = simulation.wanted().at(-3) as Flow;
  for (const flow of [own, older])
    expect(await readAll({ flows: (asked) => merged(asked) }, { id: flow.id })).toEqual([flow]);
  const number = own.id.split("-")[1] as string;
  expect(await readAll({ flows: (asked) => merged(asked) }, { id: number })).toEqual([own]);
});

test("`last` is the newest of both", async () => {
  const page = await merged({ last: 12, limit: 100 });
  expect(page.flows).toEqual(simulation.wanted().slice(0, 12));
  expect(page.next).toBeNull();
});
