/**
 * Spans that a collector never gets: from a program at 40,000 a second to a collector that answers after 50 ms
 * (`slow`), at 2,000 a second while the collector is away for a minute (`outage`), and from a program that is told to
 * end by SIGTERM in the middle (`sigterm`). The stock SDK with its defaults does the same, and is in the notes.
 * `kill`: of a program with a spool that is killed at some moment, and of its successor, with all spans that had ended
 * a second before; those that ended later and were not there are `lost_unsynced`.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@x0tta6bl4/core";
import { startScript } from "../test/lab/index.ts";
import type { Bench } from "./lib/bench.ts";
import type { AppContract } from "./lib/span-app.ts";
import type { CollectorContract } from "./lib/span-collector.ts";
import { round } from "./lib/statistics.ts";

const FAST = 40_000;
const STEADY = 2000;
const SLOW_MS = 50;
/** A deadline of the supervisor: systemd's is 90 s, a container's 10 s. */
const SHUTDOWN_MS = 5000;

type By = AppContract["argument"]["by"];
interface Run {
  readonly lostPct: number;
  readonly loopP99Ms: number;
}
interface Course {
  readonly rate: number;
  readonly durationMs: number;
  readonly delayMs: number;
  readonly awayMs?: number;
  readonly isTold?: boolean;
}

export const run: Bench = async ({ quick, seed, note }) => {
  const second = quick ? 60 : 1000;
  const courses: Readonly<Record<string, Course>> = {
    slow: { rate: FAST, durationMs: 10 * second, delayMs: SLOW_MS },
    outage: { rate: STEADY, durationMs: 70 * second, delayMs: 0, awayMs: 60 * second },
    sigterm: { rate: FAST, durationMs: 60_000, delayMs: SLOW_MS, isTold: true },
  };
  const runs = new Map<string, Run>();
  for (const [name, course] of Object.entries(courses))
    for (const by of ["us", "stock"] as const) {
      const one = await traced(by, course, second);
      runs.set(`${by} ${name}`, one);
      note(`${name}, ${by}: ${round(one.lostPct)} % lost, event loop p99 ${round(one.loopP99Ms)} ms`);
    }
  const random = seededRandom(seed);
  const kills: Killed[] = [];
  for (let round = 0; round < (quick ? 1 : 5); round++) kills.push(await killed(1500 + random.below(2000)));
  note(`kill: ${kills.map(({ lost, unsynced, of }) => `${lost} and ${unsynced} of ${of}`).join(", ")} lost`);
  const sum = (of: (one: Killed) => number): number => kills.reduce((total, one) => total + of(one), 0);
  return {
    lost_pct_slow: runs.get("us slow")?.lostPct ?? null,
    loop_p99_ms: round(runs.get("us slow")?.loopP99Ms ?? 0),
    lost_pct_outage: runs.get("us outage")?.lostPct ?? null,
    lost_pct_kill: (100 * sum(({ lost }) => lost)) / sum(({ of }) => of),
    lost_unsynced: sum(({ unsynced }) => unsynced),
    lost_pct_sigterm: runs.get("us sigterm")?.lostPct ?? null,
  };
};

async function traced(by: By, course: Course, secondMs: number): Promise<Run> {
  const { rate, durationMs, delayMs, awayMs, isTold } = course;
  await using collector = await startScript<CollectorContract>(
    new URL("./lib/span-collector.ts", import.meta.url),
    { delayMs, isExact: false },
  );
  await using app = await startScript<AppContract>(new URL("./lib/span-app.ts", import.meta.url), {
    by,
    endpoint: `http://127.0.0.1:${collector.ready.port}`,
    rate,
    durationMs,
    shutdownMs: isTold ? SHUTDOWN_MS : 60_000,
  });
  if (awayMs !== undefined) {
    await sleep(2 * secondMs);
    collector.order("go away");
    await sleep(awayMs);
    collector.order("come back");
  }
  if (isTold) {
    await sleep(3 * secondMs);
    process.kill(app.pid, "SIGTERM");
  }
  const { ended, loopP99Ms } = await app.result;
  const { spans } = await collector.finish();
  if (spans > ended) throw new Error(`${ended} spans ended and ${spans} arrived`);
  return { lostPct: (100 * (ended - spans)) / ended, loopP99Ms };
}

interface Killed {
  /** Spans that had ended a second before the kill. */
  readonly of: number;
  /** Of these. */
  readonly lost: number;
  /** Of those that ended later. */
  readonly unsynced: number;
}

async function killed(afterMs: number): Promise<Killed> {
  const spool = await mkdtemp(join(tmpdir(), "x0-span-loss-"));
  await using collector = await startScript<CollectorContract>(
    new URL("./lib/span-collector.ts", import.meta.url),
    { delayMs: SLOW_MS, isExact: true },
  );
  const endpoint = `http://127.0.0.1:${collector.ready.port}`;
  const start = (rate: number, durationMs: number) =>
    startScript<AppContract>(new URL("./lib/span-app.ts", import.meta.url), {
      by: "us",
      endpoint,
      rate,
      durationMs,
      shutdownMs: 60_000,
      spool,
    });
  const told: AppContract["event"][] = [];
  {
    await using app = await start(FAST, 60_000);
    app.on((event) => told.push(event));
    await sleep(afterMs);
    process.kill(app.pid, "SIGKILL");
    await app.result.catch(() => {});
  }
  const last = told.at(-1);
  const old = told.findLast(({ atMs }) => last !== undefined && atMs <= last.atMs - 1000);
  if (last === undefined || old === undefined) throw new Error("the program was killed before it worked");
  await using successor = await start(0, 0);
  await successor.result;
  const { ends } = await collector.finish();
  const cut = BigInt(Math.round(old.atMs * 1e6));
  const until = BigInt(Math.round(last.atMs * 1e6));
  const arrived = (upTo: bigint): number => ends.reduce((count, end) => count + Number(end <= upTo), 0);
  await rm(spool, { recursive: true });
  const [early, all] = [arrived(cut), arrived(until)];
  if (early > old.ended) throw new Error(`${old.ended} spans ended and ${early} arrived`);
  return { of: old.ended, lost: old.ended - early, unsynced: last.ended - old.ended - (all - early) };
}
