import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Flow, type FlowQuery, flowQuerySchema } from "../flow.ts";
import { type Simulated, simulated } from "./testing/simulated.ts";

const newFolder = (): string => mkdtempSync(join(tmpdir(), "x0-history-"));

describe("an answer", () => {
  let folder: string;
  let simulation: Simulated;

  beforeAll(() => {
    folder = newFolder();
    simulation = simulated(folder, { flowsPerSecond: 150 });
    simulation.record(70);
  });
  afterAll(async () => {
    await simulation.history.close(1000);
    rmSync(folder, { recursive: true, force: true });
  });

  test("has every flow once, with its latest state, newest first", async () => {
    expect(await simulation.read()).toEqual(simulation.wanted());
    expect(simulation.wanted({}).filter(({ state }) => state === "active").length).toBeGreaterThan(10);
  });

  test.each<Partial<FlowQuery>>([
    { ip: "10.0.0.10" },
    { ip: "203.0.0.0/16" },
    { ip: "2001:db8::/32" },
    { ip: "0.0.0.0/0" },
    { ip: "::/0" },
    { ip: "192.0.2.1" },
    { port: 5432 },
    { port: 0 },
    { protocol: "icmp" },
    { process: "curl" },
    { process: "/usr/sbin/nginx" },
    { unit: "nginx" },
    { container: "3f4e9d1c8a7b" },
    { name: "*.service-3.example" },
    { name: "RESOLVER-1.internal.example" },
    { dropped: "true" },
    { dropped: "true", port: 443 },
    { verdict: "dropped" },
    { verdict: "audit", protocol: "tcp" },
    { verdict: "forwarded", port: 22 },
    { protocol: "udp", port: 53 },
    { protocol: "udp", port: 443 },
    { ip: "10.0.0.0/24" },
    { ip: "203.0.7.0/25", protocol: "tcp" },
    { ip: "2001:db8:7::/48" },
    { dropped: "false", protocol: "udp" },
    { since: "10s" },
    { until: "30s", since: "40s", port: 443 },
  ])("with a filter is what a filter over all flows gives: %j", async (query) => {
    expect(await simulation.read(query)).toEqual(simulation.wanted(query));
  });

  test("has one flow for its id, and none for what is no id", async () => {
    const flow = simulation.wanted().at(-5) as Flow;
    expect(await simulation.read({ id: flow.id })).toEqual([flow]);
    expect(await simulation.read({ id: "nonsense" })).toEqual([]);
  });

  test("has its size and age told as metrics", async () => {
    const figures = new Map(
      simulation.history.samples().map(({ metric, value }) => [metric.name, value] as const),
    );
    const ended = simulation.wanted().filter(({ state }) => state === "ended").length;
    // The last seconds wait; flows that go on have rows, too.
    expect(figures.get("x0tta6bl4_flows_history_rows_total")).toBeGreaterThan(0.9 * ended);
    expect(figures.get("x0tta6bl4_flows_history_rows_total")).toBeLessThan(2 * ended);
    expect(figures.get("x0tta6bl4_flows_history_bytes")).toBe(simulation.history.sizeBytes());
    const oldest = simulation.wanted().at(-1) as Flow;
    expect(figures.get("x0tta6bl4_flows_history_oldest_timestamp_seconds")).toBe(
      Date.parse(oldest.start) / 1000,
    );
    expect(figures.get("x0tta6bl4_flows_history_lost_total")).toBe(0);
  });

  test("is only the newest so many where `last` says so", async () => {
    const page = await simulation.history.flows(flowQuerySchema.parse({ last: 7, protocol: "tcp" }));
    expect(page.flows).toEqual(simulation.wanted({ protocol: "tcp" }).slice(0, 7));
    expect(page.next).toBeNull();
  });

  test.each(["5", "x-y-z", "1793491200000-!!-3", ""])("refuses to read on after %j", async (after) => {
    await expect(simulation.history.flows(flowQuerySchema.parse({ after }))).rejects.toMatchObject({
      code: "X0_FLOWS_INVALID_FILTER",
      hint: expect.any(String),
    });
  });
});

describe("over time", () => {
  let folder: string;

  beforeEach(() => {
    folder = newFolder();
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  test("pages stay what they are while flows come, are written, and the agent starts again", async () => {
    const simulation = simulated(folder, { flowsPerSecond: 60 });
    simulation.record(20);
    const wanted = simulation.wanted().filter(({ state }) => state === "ended");
    const found: Flow[] = [];
    let after: string | null = null;
    do {
      const page: { flows: Flow[]; next: string | null } = await simulation.history.flows(
        flowQuerySchema.parse({ limit: 300, ...(after === null ? {} : { after }) }),
      );
      found.push(...page.flows);
      after = page.next;
      simulation.record(4);
      await simulation.history.close(1000);
      simulation.open();
    } while (after !== null);
    const known = new Set(wanted.map(({ id }) => id));
    expect(found.filter(({ id }) => known.has(id))).toEqual(wanted);
    expect(new Set(found.map(({ id }) => id)).size).toBe(found.length);
    await simulation.history.close(1000);
  });

  test("after a restart the flows of the run before are there, and have ended", async () => {
    const simulation = simulated(folder);
    simulation.record(30);
    await simulation.history.close(1000);
    for (const [id, flow] of simulation.expected) simulation.expected.set(id, { ...flow, state: "ended" });
    simulation.open();
    expect(await simulation.read()).toEqual(simulation.wanted());
    simulation.record(10);
    expect(await simulation.read({ since: "10s" })).toEqual(simulation.wanted({ since: "10s" }));
    const { covers } = await simulation.history.flows(flowQuerySchema.parse({}));
    expect(covers).toMatchObject({
      from: "2026-11-01T00:00:00.000Z",
      to: "2026-11-01T00:00:40.000Z",
      gaps: [],
    });
    await simulation.history.close(1000);
  });

  test("flows that go on for long stay one flow, over files and checkpoints", async () => {
    const simulation = simulated(folder, { flowsPerSecond: 1, updateSeconds: 300, seed: 11 });
    simulation.record(70 * 60);
    expect(await simulation.read()).toEqual(simulation.wanted());
    const lasting = simulation
      .wanted()
      .filter(({ start, end }) => Date.parse(end) - Date.parse(start) > 300_000);
    expect(lasting.length).toBeGreaterThan(0);
    await simulation.history.close(1000);
  });

  test("flows of a flood, which are more than what is held back, are there at once", async () => {
    const simulation = simulated(folder, { flowsPerSecond: 200, seed: 12, options: { mostYoung: 64 } });
    simulation.record(5);
    expect(await simulation.read()).toEqual(simulation.wanted());
    await simulation.history.close(1000);
  });
});
