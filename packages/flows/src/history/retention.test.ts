import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Clock } from "@x0tta6bl4/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Flow, flowQuerySchema } from "../flow.ts";
import { readBatch } from "../recording/record.ts";
import { recordTraffic } from "../testing/record-traffic.ts";
import { batchOf } from "../testing/records.ts";
import { type History, openHistory } from "./history.ts";
import { inOrder, readAll, simulated, startMs } from "./testing/simulated.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-retention-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const databases = (): string[] => readdirSync(folder).filter((name) => name.endsWith(".db"));

describe("retention", () => {
  test("by size deletes the oldest files, and answers say from when on they are", async () => {
    const maxBytes = 1_500_000;
    const simulation = simulated(folder, { flowsPerSecond: 400, options: { maxBytes } });
    simulation.record(150);
    expect(simulation.history.sizeBytes()).toBeLessThan(maxBytes * 1.25);
    const flows = await simulation.read();
    const wanted = simulation.wanted();
    expect(flows.length).toBeGreaterThan(1000);
    expect(flows.length).toBeLessThan(wanted.length);
    const known = new Map(wanted.map((flow) => [flow.id, flow]));
    for (const flow of flows) expect(flow).toEqual(known.get(flow.id));
    const { covers } = await simulation.history.flows(flowQuerySchema.parse({}));
    expect(Date.parse(covers.from)).toBeGreaterThan(startMs);
    // Nothing that ended since then is missing.
    const found = new Set(flows.map(({ id }) => id));
    expect(
      wanted.filter(({ id, end, state }) => state === "ended" && end > covers.from && !found.has(id)),
    ).toEqual([]);
    await simulation.history.close(1000);
  });

  test("by age deletes files whose last flow is older", async () => {
    const simulation = simulated(folder, { flowsPerSecond: 1, options: { maxAgeMs: 3_600_000 } });
    simulation.record(3 * 3600);
    expect(databases().length).toBeLessThanOrEqual(3);
    const { covers } = await simulation.history.flows(flowQuerySchema.parse({}));
    expect(simulation.traffic.nowMs - Date.parse(covers.from)).toBeLessThan(2.1 * 3_600_000);
    await simulation.history.close(1000);
  });
});

describe("a clock that steps", () => {
  /** Flows of one simulated minute each, told at times that the test sets. */
  function stepping(): {
    history: History;
    flows: Flow[];
    minute(wallMs: number, gap?: string): void;
  } {
    let monotonicMs = 0;
    let wallMs = startMs;
    const clock: Clock = { nowMs: () => wallMs, monotonicNs: () => BigInt(monotonicMs) * 1_000_000n };
    const traffic = recordTraffic({ seed: 1, startMs, flowsPerSecond: 10 });
    const history = openHistory({
      folder,
      maxBytes: 3_200_000,
      maxAgeMs: 86_400_000,
      run: startMs,
      clock,
      maxFlows: 4096,
    });
    const flows: Flow[] = [];
    return {
      history,
      flows,
      minute(at, gap) {
        for (let second = 0; second < 60; second++) {
          wallMs = at + second * 1000;
          monotonicMs += 1000;
          const shift = wallMs - traffic.nowMs;
          const moved = (time: string): string => new Date(Date.parse(time) + shift).toISOString();
          const reader = readBatch(traffic.next());
          const ended: Flow[] = [];
          for (let index = 0; index < reader.batch.count; index++) {
            if (reader.change(index) !== "end") continue;
            const flow = reader.flow(index);
            ended.push({ ...flow, start: moved(flow.start), end: moved(flow.end) });
          }
          const coverage = { fromMs: wallMs, toMs: wallMs + 1000 };
          history.take(
            readBatch(batchOf(ended, second === 0 && gap !== undefined ? { ...coverage, gap } : coverage)),
            [],
          );
          for (const flow of ended) flows.push({ ...flow, id: `${startMs.toString(36)}-${flow.id}` });
        }
        wallMs += 1000;
      },
    };
  }

  test.each([
    ["back", -3_600_000],
    ["forward", 30 * 86_400_000],
    ["back within the file", -30_000],
  ])("%s neither loses nor doubles flows, and leaves a gap", async (_, stepMs) => {
    const { history, flows, minute } = stepping();
    minute(startMs);
    const gap = `the clock stepped by ${stepMs / 1000} s`;
    minute(startMs + 60_000 + stepMs, gap);
    minute(startMs + 120_000 + stepMs);
    expect(await readAll(history)).toEqual(inOrder(flows));
    const { covers } = await history.flows(flowQuerySchema.parse({}));
    const edges = [startMs + 60_000, startMs + 60_000 + stepMs].sort((a, b) => a - b);
    const [from, to] = edges.map((ms) => new Date(ms).toISOString());
    expect(covers.gaps).toEqual([{ from, to, reason: gap }]);
    // A jump of a month may be mended a minute later: no older file is deleted for it yet.
    expect(databases().length).toBeGreaterThan(1);
    await history.close(1000);
    const again = stepping();
    expect(await readAll(again.history)).toEqual(inOrder(flows));
    await again.history.close(1000);
  });

  test("a stretch that nobody watched is a gap", async () => {
    const { history, minute } = stepping();
    minute(startMs);
    minute(startMs + 600_000);
    const { covers } = await history.flows(flowQuerySchema.parse({}));
    expect(covers.gaps).toEqual([
      { from: "2026-11-01T00:01:00.000Z", to: "2026-11-01T00:10:00.000Z", reason: "nothing was recorded" },
    ]);
    const within = await history.flows(flowQuerySchema.parse({ since: "2026-11-01T00:10:30Z" }));
    expect(within.covers.gaps).toEqual([]);
    await history.close(1000);
  });
});

describe("files that are not history", () => {
  test("are said once, and left as they are", async () => {
    const foreign = join(folder, "flows-00000007.db");
    {
      using database = new DatabaseSync(foreign);
      database.exec("CREATE TABLE letters (text); INSERT INTO letters VALUES ('dear')");
    }
    const before = readFileSync(foreign);
    writeFileSync(join(folder, "flows-00000008.db"), "this is a letter, not a database\n".repeat(100));
    writeFileSync(join(folder, "notes.txt"), "a note");
    mkdirSync(join(folder, "flows-00000009.db"));
    const simulation = simulated(folder);
    simulation.record(10);
    expect(await simulation.read()).toEqual(simulation.wanted());
    expect(simulation.history.features()).toEqual([
      expect.objectContaining({
        state: "degraded",
        reason: expect.stringMatching(/^4 files are not read, first /),
      }),
    ]);
    await simulation.history.close(1000);
    expect(readFileSync(foreign)).toEqual(before);
  });

  test.each([1, 2, 3, 4])("a damaged one costs what it held, and no more (seed %i)", async (seed) => {
    const simulation = simulated(folder, { flowsPerSecond: 300 });
    simulation.record(40);
    await simulation.history.close(1000);
    const path = join(folder, databases()[0] as string);
    const bytes = readFileSync(path);
    // Away from the first pages, which tell that it is a database at all.
    for (let hit = 0; hit < 3; hit++) {
      const at = 65_536 + ((seed * 7919 + hit * 104_729) % (bytes.length - 65_536));
      bytes[at] = (bytes[at] as number) ^ 0xff;
    }
    writeFileSync(path, bytes);
    simulation.open();
    const flows = await simulation.read();
    const known = new Map(simulation.wanted().map((flow) => [flow.id, { ...flow, state: "ended" }]));
    for (const flow of flows) expect(flow).toEqual(known.get(flow.id));
    if (flows.length < known.size) {
      const { covers } = await simulation.history.flows(flowQuerySchema.parse({}));
      expect(covers.gaps).toContainEqual(
        expect.objectContaining({ reason: expect.stringMatching(/^\d+ rows are damaged on disk$/) }),
      );
    }
    simulation.record(5);
    await simulation.history.close(1000);
  });

  test("one that takes no more is left, and the next one begun", async () => {
    const simulation = simulated(folder);
    simulation.record(20);
    await simulation.history.close(1000);
    const path = join(folder, databases()[0] as string);
    const pageOf = (table: string): { page: number; size: number } => {
      using database = new DatabaseSync(path);
      const page = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(table)?.[
        "rootpage"
      ];
      return { page: Number(page), size: Number(database.prepare("PRAGMA page_size").get()?.["page_size"]) };
    };
    const { page, size } = pageOf("parts");
    const bytes = readFileSync(path);
    bytes.fill(0xff, (page - 1) * size, page * size);
    writeFileSync(path, bytes);
    simulation.expected.clear();
    simulation.open();
    simulation.record(20);
    const since = new Date(startMs + 20_000).toISOString();
    const began = simulation.wanted().filter(({ start }) => start >= since);
    expect((await simulation.read()).filter(({ start }) => start >= since)).toEqual(began);
    expect(databases()).toHaveLength(2);
    await simulation.history.close(1000);
    simulation.open();
    expect((await simulation.read()).filter(({ start }) => start >= since).length).toBe(began.length);
    await simulation.history.close(1000);
  });

  test("a torn one is skipped, and a new one is begun", async () => {
    const simulation = simulated(folder);
    simulation.record(20);
    await simulation.history.close(1000);
    truncateSync(join(folder, databases()[0] as string), 5000);
    simulation.open();
    expect(await simulation.read()).toEqual([]);
    expect(simulation.history.features()).toMatchObject([{ state: "degraded" }]);
    simulation.expected.clear();
    simulation.record(10);
    expect((await simulation.read({ since: "5s" })).length).toBeGreaterThan(100);
    await simulation.history.close(1000);
  });
});
