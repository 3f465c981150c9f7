import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Clock, systemClock } from "@x0tta6bl4/core";
import { beforeAll, expect, test } from "vitest";
import { type History, openHistory } from "../history/history.ts";
import { partiesOf } from "../parties.ts";
import { batchOf } from "../recording/from-flows.ts";
import { readBatch } from "../recording/record.ts";
import { testFlow } from "../testing/flows.ts";
import type { Emitter } from "./from-record.ts";
import type { HistoryRange } from "./history.ts";
import { entriesOf } from "./order.ts";
import { storedFlows } from "./stored-flows.ts";

const emitter: Emitter = { nodeName: "edge-1", version: "0.1.0", isLocal: () => false };
const firstMs = Date.now() - 20 * 3_600_000;

/** A busy second, a night of nothing, and then a flow every ten seconds. */
const startsMs = [
  ...Array.from({ length: 2500 }, (_, at) => firstMs + Math.floor(at / 3)),
  ...Array.from({ length: 300 }, (_, at) => firstMs + 10 * 3_600_000 + at * 10_000),
];

let history: History;

beforeAll(async () => {
  const folder = mkdtempSync(join(tmpdir(), "x0-stored-"));
  let nowMs = firstMs;
  const clock: Clock = { nowMs: () => nowMs, monotonicNs: systemClock.monotonicNs };
  history = openHistory({
    folder,
    maxBytes: 1e9,
    maxAgeMs: 1e10,
    maxFlows: 1e5,
    run: firstMs,
    clock,
    flushMs: 0,
  });
  for (let from = 0; from < startsMs.length; from += 700) {
    const flows = startsMs.slice(from, from + 700).map((start, at) => {
      const [startText, end] = [start, start + 5].map((time) => new Date(time).toISOString()) as [
        string,
        string,
      ];
      return testFlow({ id: String(1 + from + at), start: startText, end });
    });
    nowMs = (startsMs[Math.min(startsMs.length, from + 700) - 1] as number) + 1000;
    const drop = {
      kind: "drop" as const,
      ...partiesOf(testFlow({ id: "1" }), new Date(nowMs - 500).toISOString()),
      reason: "NO_SOCKET",
      fromSource: true,
      tcpFlags: ["SYN"],
      bytes: 60,
      interface: null,
    };
    const records = flows.flatMap((flow) => [{ flow, change: "start" as const }, { flow }]);
    history.take(readBatch(batchOf(records, { fromMs: nowMs - 1000, toMs: nowMs })), [drop]);
  }
  return async () => {
    await history.close(1000);
    rmSync(folder, { recursive: true });
  };
});

async function shown(range: Partial<HistoryRange>) {
  const pages = [];
  const whole = { fromMs: 0, toMs: Date.now(), newestFirst: false };
  for await (const { fromMs, toMs, records, events } of storedFlows(history).flows({ ...whole, ...range })) {
    const entries = [...entriesOf(records, events, emitter)];
    expect(entries.every(({ timeMs }) => timeMs >= fromMs && timeMs < toMs + 5)).toBe(true);
    pages.push({ fromMs, summaries: entries.map(({ timeMs, flow }) => `${timeMs} ${flow?.["Summary"]}`) });
  }
  return pages;
}

test("each flow of the disk once, with its drops, in both directions", async () => {
  const forwards = await shown({});
  const fromStart = forwards.flatMap(({ summaries }) => summaries);
  const openings = fromStart.filter((line) => line.endsWith("TCP Flags: SYN"));
  expect(openings).toEqual(startsMs.map((start) => `${start} TCP Flags: SYN`));
  expect(fromStart.filter((line) => line.endsWith("SYN, ACK"))).toHaveLength(startsMs.length);
  expect(fromStart.filter((line) => line.endsWith("ACK, FIN"))).toHaveLength(startsMs.length);
  expect(fromStart.filter((line) => line.endsWith("NO_SOCKET"))).toHaveLength(4);
  // The busy second needs slices of its own, the night takes a few.
  expect(forwards.length).toBeGreaterThan(3);
  expect(forwards.length).toBeLessThan(60);
  const backwards = await shown({ newestFirst: true });
  const fromEnd = backwards.toReversed().flatMap(({ summaries }) => summaries);
  expect(fromEnd.toSorted()).toEqual(fromStart.toSorted());
  const firsts = backwards.map(({ fromMs }) => fromMs);
  expect(firsts).toEqual(firsts.toSorted((a, b) => b - a));
});

test("only what was asked for", async () => {
  const fromMs = startsMs[2600] as number;
  const toMs = startsMs[2610] as number;
  for (const newestFirst of [true, false]) {
    const lines = (await shown({ fromMs, toMs, newestFirst })).flatMap(({ summaries }) => summaries);
    expect(lines.filter((line) => line.endsWith("TCP Flags: SYN"))).toHaveLength(10);
  }
  expect(await shown({ fromMs: Date.now() - 1000 })).toEqual([]);
});
