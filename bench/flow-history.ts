/**
 * The history of flows at ten million: how fast records are taken and written (`write_per_s`, flows, in the recording
 * thread's own way), how long the slowest of several filters over the last hour takes (`filter_last_hour_ms`), and
 * what a flow costs on disk (`bytes_per_flow`). The traffic is made as it goes, at 2,000 new flows a second, so that
 * the last hour alone has 7 million. First it asserts that each flow comes back once and as it was, and that filters
 * answer what a filter over all flows would.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { Clock } from "@x0tta6bl4/core";
import { compileFilter } from "../packages/flows/src/filter.ts";
import { type Flow, type FlowQuery, flowQuerySchema } from "../packages/flows/src/flow.ts";
import { type History, openHistory } from "../packages/flows/src/history/history.ts";
import { qualified } from "../packages/flows/src/history/rows.ts";
import {
  RECORD_WORDS,
  type RecordReader,
  readBatch,
  recordWord,
} from "../packages/flows/src/recording/record.ts";
import { type RecordTraffic, recordTraffic } from "../packages/flows/src/testing/record-traffic.ts";
import type { Bench } from "./lib/bench.ts";
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
  const wanted = quick ? 200_000 : 10_000_000;
  const folder = mkdtempSync(join(tmpdir(), "x0-flow-history-"));
  try {
    const traffic = recordTraffic({ seed, startMs: START_MS, flowsPerSecond: FLOWS_PER_SECOND });
    const history = open(folder, traffic);
    const written = await write(history, traffic, wanted, note);
    // As after a restart: nothing is left in memory.
    await history.close(60_000);
    const reopened = open(folder, traffic);
    const { milliseconds, answers } = await filterTimes(reopened, traffic, note);
    await assertAll(reopened, traffic, seed, answers, note);
    await reopened.close(1000);
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
  wanted: number,
  note: (line: string) => void,
): Promise<{ seconds: number; bytes: number }> {
  let milliseconds = 0;
  let slowest = 0;
  let processorUs = 0;
  while (traffic.flows < wanted) {
    const reader = readBatch(traffic.next());
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

interface Answer {
  readonly query: FlowQuery;
  readonly flows: readonly Flow[];
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

/** Makes the same traffic again, and compares each flow with what the history has of it. */
async function assertAll(
  history: History,
  { nowMs }: RecordTraffic,
  seed: number,
  answers: readonly Answer[],
  note: (line: string) => void,
): Promise<void> {
  const again = recordTraffic({ seed, startMs: START_MS, flowsPerSecond: FLOWS_PER_SECOND });
  const expected = digests();
  const active = new Map<number, RecordReader>();
  const matchers = answers.map(({ query }) => compileFilter(query, nowMs));
  const matched = answers.map((): { start: string; id: number; flow: Flow }[] => []);
  const settle = (flow: Flow): void => {
    // What goes on when a run ends has ended with it.
    const whole: Flow = { ...flow, id: qualified(START_MS, flow.id), state: "ended" };
    expected.add(whole);
    for (const [index, matches] of matchers.entries()) {
      if (!matches(whole)) continue;
      const list = matched[index] as { start: string; id: number; flow: Flow }[];
      list.push({ start: whole.start, id: Number(flow.id), flow: whole });
      if (list.length >= 20_000) keepNewest(list);
    }
  };
  while (again.nowMs < nowMs) {
    const reader = readBatch(again.next());
    for (let index = 0; index < reader.batch.count; index++) {
      const at = index * RECORD_WORDS;
      const id = reader.doubles[(at + recordWord.idF64) / 2] as number;
      if (reader.change(index) === "end") {
        active.delete(id);
        settle(reader.flow(index));
      } else {
        const words = reader.words.slice(at, at + RECORD_WORDS);
        active.set(id, readBatch({ ...reader.batch, count: 1, words }));
      }
    }
  }
  for (const latest of active.values()) settle(latest.flow(0));
  for (const [index, { query, flows }] of answers.entries()) {
    const list = matched[index] as { start: string; id: number; flow: Flow }[];
    keepNewest(list);
    if (JSON.stringify(list.map(({ flow }) => flow)) !== JSON.stringify(flows))
      throw new Error(
        `the filter ${JSON.stringify(query)} does not answer what a filter over all flows does`,
      );
  }
  note("each filter equals a filter over all flows");
  const found = digests();
  let after: string | null = null;
  do {
    const page: { flows: Flow[]; next: string | null } = await history.flows(
      flowQuerySchema.parse({ limit: 10_000, ...(after === null ? {} : { after }) }),
    );
    for (const flow of page.flows) found.add(flow);
    after = page.next;
  } while (after !== null);
  if (found.count !== again.flows || found.sum() !== expected.sum())
    throw new Error(`${again.flows} flows were written, ${found.count} came back, or they are not equal`);
  note(`all ${found.count} flows came back, each equal to what was written`);
}

function keepNewest(list: { start: string; id: number; flow: Flow }[]): void {
  list.sort((a, b) => (a.start < b.start ? 1 : a.start > b.start ? -1 : b.id - a.id));
  list.length = Math.min(list.length, 100);
}

/** A sum over flows that does not depend on their order: any flow that is missing, double or changed changes it. */
function digests() {
  let low = 0;
  let high = 0;
  let count = 0;
  return {
    get count() {
      return count;
    },
    add(flow: Flow): void {
      const text = JSON.stringify(flow);
      const digest = crc32(text);
      low = (low + digest) % 2 ** 52;
      high = (high + crc32(text, digest)) % 2 ** 52;
      count++;
    },
    sum: () => `${low} ${high}`,
  };
}
