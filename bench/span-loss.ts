/**
 * Spans that a collector never gets: from a program at 40,000 a second to a collector that answers after 50 ms
 * (`slow`), at 2,000 a second while the collector is away for a minute (`outage`), and from a program that is told to
 * end by SIGTERM in the middle (`sigterm`). The stock SDK with its defaults does the same, and is in the notes.
 * `kill` needs a spool on disk, which is not built.
 */
import { setTimeout as sleep } from "node:timers/promises";
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

export const run: Bench = async ({ quick, note }) => {
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
  return {
    lost_pct_slow: runs.get("us slow")?.lostPct ?? null,
    loop_p99_ms: round(runs.get("us slow")?.loopP99Ms ?? 0),
    lost_pct_outage: runs.get("us outage")?.lostPct ?? null,
    lost_pct_kill: null,
    lost_unsynced: null,
    lost_pct_sigterm: runs.get("us sigterm")?.lostPct ?? null,
  };
};

async function traced(by: By, course: Course, secondMs: number): Promise<Run> {
  const { rate, durationMs, delayMs, awayMs, isTold } = course;
  await using collector = await startScript<CollectorContract>(
    new URL("./lib/span-collector.ts", import.meta.url),
    { delayMs },
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
