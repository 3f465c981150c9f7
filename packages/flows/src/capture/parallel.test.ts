/** Two CPUs at one table, while it is read, emptied and overrun: each packet is in one flow or said to be lost. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { captureOptions, flowsConfigSchema } from "../config.ts";
import { openLibc } from "../kernel/libc.ts";
import { benchKernel, benchMode } from "../testing/bench-programs.ts";
import type { Hammering } from "../testing/hammer.ts";
import { openCapture } from "./capture.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const threads = Math.max(2, Math.min(4, availableParallelism()));

interface Outcome {
  readonly active: number;
  readonly flows: number;
  readonly packets: number;
  readonly lostPackets: number;
  readonly uncounted: number;
}

/** Every thread makes the same requests; meanwhile this one does what the capturing thread does. */
async function hammer(maxFlows: number, requests: Hammering["requests"], idleSeconds = 60): Promise<Outcome> {
  const libc = openLibc();
  const options = captureOptions(
    flowsConfigSchema.parse({ max_flows: maxFlows, recent_flows: 0, idle_seconds: idleSeconds }),
  );
  const { kernel, program } = benchKernel(libc, options);
  const capture = openCapture(libc, options, systemClock, { changes() {}, events() {}, record() {} }, kernel);
  const progress = new SharedArrayBuffer(8);
  const counts = new Int32Array(progress);
  const workers = Array.from(
    { length: threads },
    () =>
      new Worker(new URL("../testing/hammer.ts", import.meta.url), {
        workerData: { program, requests, progress, threads } satisfies Hammering,
        execArgv: ["--conditions=x0tta6bl4-source"],
      }),
  );
  const failed = Promise.withResolvers<never>();
  for (const worker of workers) worker.once("error", failed.reject);
  for (let round = 0; Atomics.load(counts, 1) < threads; round++) {
    capture.drain();
    if (round % 8 === 0) capture.read();
    await Promise.race([new Promise(setImmediate), failed.promise]);
  }
  for (let last = 0; last < 3; last++) capture.read();
  const { active, traffic, lost } = capture.totals();
  const sum = (of: "flows" | "packets"): number => traffic.reduce((total, one) => total + one[of], 0);
  capture.close();
  return {
    active,
    flows: sum("flows"),
    packets: sum("packets"),
    lostPackets: lost.packets,
    uncounted: lost.uncounted,
  };
}

test("a key that several CPUs insert at once is one flow with the packets of all", async () => {
  const keys = 60_000;
  const requests = Array.from({ length: keys / 100 }, (_, index) => ({
    mode: benchMode.fresh,
    rounds: 100,
    flows: 1,
    seed: 100 * index,
  }));
  const outcome = await hammer(131_072, requests);
  expect(outcome).toMatchObject({ packets: keys * threads, lostPackets: 0, uncounted: 0 });
  expect(outcome.flows).toBe(outcome.active);
  expect(outcome.active).toBeGreaterThanOrEqual(keys);
  // A test run can be stopped in the middle, unlike the program on a device: then the others do not wait for it.
  expect(outcome.active).toBeLessThan(keys * 1.01);
});

test("flows that all CPUs add to miss no packet", async () => {
  const requests = Array.from({ length: 50 }, (_, seed) => ({
    mode: benchMode.account,
    rounds: 20_000,
    flows: 40,
    seed: seed + 1,
  }));
  const outcome = await hammer(1024, requests);
  expect(outcome).toMatchObject({ active: 40, packets: 50 * 20_000 * threads, lostPackets: 0 });
});

test("a table that is overrun counts each packet or says that it is lost", async () => {
  const requests = Array.from({ length: 2000 }, (_, index) => ({
    mode: benchMode.fresh,
    rounds: 50,
    flows: 1,
    seed: 37 * index,
  }));
  const outcome = await hammer(1024, requests);
  expect(outcome.active).toBeLessThanOrEqual(1024);
  expect(outcome.packets + outcome.lostPackets + outcome.uncounted).toBe(2000 * 50 * threads);
});
