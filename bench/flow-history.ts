/**
 * The history of flows at ten million: how fast records are taken and written (`write_per_s`, flows, in the recording
 * thread's own way), how long the slowest of several filters over the last hour takes (`filter_last_hour_ms`), and
 * what a flow costs on disk (`bytes_per_flow`). The traffic is made as it goes, at 2,000 new flows a second, so that
 * the last hour alone has 7 million. First it asserts that each flow is in the files once and has every value that was
 * written (a sum over all of them), that sampled seconds come back whole, and that filters answer what a filter over
 * all flows of the last minutes would: see `lib/flow-history.ts`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "@x0tta6bl4/core";
import { type Flow, type FlowQuery, flowQuerySchema } from "../packages/flows/src/flow.ts";
import { type History, openHistory } from "../packages/flows/src/history/history.ts";
import { readBatch } from "../packages/flows/src/recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../packages/flows/src/testing/record-traffic.ts";
import type { Bench } from "./lib/bench.ts";
import { type Answer, expectHistory, type HistoryExpectation } from "./lib/flow-history.ts";
import { median, round } from "./lib/statistics.ts";

const FLOWS_PER_SECOND = 2000;
const START_MS = Date.UTC(2026, 10, 1);
const HOUR_MS = 3_600_000;

/** Rare, common, none; each column that a filter can look at. */
const filters: readonly Partial<FlowQuery>[] = [
  {},
  { ip: "203.0.7.0/24" },
  { ip: "10.0.5.12" },
  { ip: "192.0.2.1" },
  { port: 22 },
  { port: 443, protocol: "tcp", process: "curl" },
  { name: "*.service-3.example" },
  { name: "nowhere.example" },
  { unit: "ssh.service" },
  { dropped: "true", port: 5432 },
];

export const run: Bench = async ({ quick, seed, note }) => {
  const wanted = quick ? 100_000 : 10_000_000;
  const folder = mkdtempSync(join(tmpdir(), "x0-flow-history-"));
  try {
    const traffic = recordTraffic({ seed, startMs: START_MS, flowsPerSecond: FLOWS_PER_SECOND });
    const expected = expectHistory({
      filters,
      seed,
      startMs: START_MS,
      seconds: Math.floor(wanted / FLOWS_PER_SECOND),
    });
    const history = open(folder, traffic);
    const written = await write(history, traffic, expected, wanted, note);
    // As after a restart: nothing is left in memory.
    await history.close(60_000);
    const reopened = open(folder, traffic);
    const { milliseconds, answers } = await filterTimes(reopened, traffic, note);
    await expected.assertAnswers(answers, traffic.nowMs, note);
    await expected.assertSamples((query) => reopened.flows(query), note);
    await expected.assertTotals(reopened, traffic, note);
    await reopened.close(1000);
    expected.assertFiles(folder, traffic.flows, note);
    return {
      write_per_s: Math.round(traffic.flows / written.seconds),
      filter_last_hour_ms: round(milliseconds),
      bytes_per_flow: round(written.bytes / traffic.flows),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};

function open(folder: string, traffic: RecordTraffic): History {
  const clock: Clock = {
    nowMs: () => traffic.nowMs,
    monotonicNs: () => BigInt(traffic.nowMs) * 1_000_000n,
  };
  return openHistory({
    folder,
    maxBytes: 10e9,
    maxAgeMs: 30 * 24 * HOUR_MS,
    run: START_MS,
    clock,
    maxFlows: 262_144,
  });
}

async function write(
  history: History,
  traffic: RecordTraffic,
  expected: HistoryExpectation,
  wanted: number,
  note: (line: string) => void,
): Promise<{ seconds: number; bytes: number }> {
  let milliseconds = 0;
  let slowest = 0;
  let processorUs = 0;
  while (traffic.flows < wanted) {
    const reader = readBatch(traffic.next());
    expected.take(reader);
    const used = process.cpuUsage();
    const began = performance.now();
    history.take(reader, []);
    const took = performance.now() - began;
    const { user, system } = process.cpuUsage(used);
    processorUs += user + system;
    milliseconds += took;
    slowest = Math.max(slowest, took);
    // What other threads would do in between.
    await setImmediate();
  }
  const bytes = history.sizeBytes();
  const hours = round((traffic.nowMs - START_MS) / HOUR_MS);
  note(`${traffic.flows} flows in ${traffic.records} records of ${hours} h; ${round(bytes / 1e6)} MB`);
  note(
    `taken in ${round(milliseconds / 1000)} s, ${round(processorUs / 1e6)} s of a processor; the slowest second's batch in ${round(slowest)} ms`,
  );
  return { seconds: milliseconds / 1000, bytes };
}

/** Each filter three times, each time on a file that was just opened or is in the page cache: the median counts. */
async function filterTimes(
  history: History,
  traffic: RecordTraffic,
  note: (line: string) => void,
): Promise<{ milliseconds: number; answers: Answer[] }> {
  const since = new Date(traffic.nowMs - HOUR_MS).toISOString();
  const answers: Answer[] = [];
  let worst = 0;
  // Compiled before it counts, as after the first questions to an agent.
  await history.flows(flowQuerySchema.parse({ ip: "10.0.0.10" }));
  for (const filter of filters) {
    const query = flowQuerySchema.parse({ ...filter, since });
    const times: number[] = [];
    let flows: readonly Flow[] = [];
    for (let index = 0; index < 3; index++) {
      const began = performance.now();
      flows = (await history.flows(query)).flows;
      times.push(performance.now() - began);
    }
    answers.push({ query, flows });
    worst = Math.max(worst, median(times));
    note(`${JSON.stringify(filter)}: ${flows.length} of the last hour in ${round(median(times))} ms`);
  }
  return { milliseconds: worst, answers };
}
