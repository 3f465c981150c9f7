/**
 * How fast the capturing thread takes what the kernel has: a full read of 100,000 flows that all changed since the
 * last one, and the most events a second that it consumes without losing one, full reads included: events of new
 * flows and, once the table is full, of those that they expel. Flows and events come from the shipped accounting
 * code, driven by a program that exists for this alone.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { systemClock } from "@x0tta6bl4/core";
import { openLibc } from "@x0tta6bl4/flows";
import { type Capture, openCapture } from "../packages/flows/src/capture/capture.ts";
import type { CaptureOptions } from "../packages/flows/src/capture/contract.ts";
import { pollDelayMs } from "../packages/flows/src/capture/poll-delay.ts";
import { captureOptions, flowsConfigSchema } from "../packages/flows/src/config.ts";
import { type BenchKernel, benchKernel, benchMode } from "../packages/flows/src/testing/bench-programs.ts";
import type { Bench } from "./lib/bench.ts";
import { median, round } from "./lib/statistics.ts";

const FLOWS = 100_000;
const options: CaptureOptions = captureOptions(flowsConfigSchema.parse({}));

interface Rig extends BenchKernel, Disposable {
  readonly capture: Capture;
}

/** The product's capture, with the default configuration, on the bench program's maps. */
function rig(): Rig {
  const libc = openLibc();
  const bench = benchKernel(libc, options);
  const capture = openCapture(
    libc,
    options,
    systemClock,
    { changes() {}, events() {}, record() {} },
    bench.kernel,
  );
  return { ...bench, capture, [Symbol.dispose]: () => capture.close() };
}

export const run: Bench = async ({ quick, seed, note }) => {
  const read = readMs(quick ? 3 : 15, seed);
  note(`full reads of ${FLOWS} changed flows: ${read.map((ms) => round(ms)).join(", ")} ms`);
  // Compiled before it counts, as after the first seconds of an agent.
  await consume(100_000, 500);
  let best = 0;
  let lostAtBest: number | null = null;
  for (const target of quick ? [200_000] : [100_000, 150_000, 200_000, 250_000, 300_000, 400_000]) {
    const { rate, lost, flows } = await consume(target, quick ? 500 : 3000);
    note(`asked for ${target} flows/s: ${Math.round(rate)} events/s, ${lost} lost; ${flows} flows recorded`);
    if (lost === 0 && rate > best) {
      best = rate;
      lostAtBest = 0;
    }
  }
  return {
    read_100k_flows_ms: round(median(read)),
    ring_events_per_s: Math.round(best),
    ring_lost: lostAtBest,
  };
};

function readMs(reads: number, seed: number): number[] {
  using bench = rig();
  const { capture, walk } = bench;
  for (let start = 0; start < FLOWS; start += 10_000) {
    walk({ mode: benchMode.fresh, rounds: 10_000, flows: FLOWS, seed: start });
    capture.drain();
  }
  const times: number[] = [];
  for (let index = 0; index < reads; index++) {
    // 20 packets a flow on average, so that hardly one is left untouched.
    walk({ mode: benchMode.account, rounds: FLOWS * 20, flows: FLOWS, seed: seed + 2 * index + 1 });
    const started = performance.now();
    capture.read();
    times.push(performance.now() - started);
  }
  const { active, traffic, lost } = capture.totals();
  const packets = traffic.reduce((sum, one) => sum + one.packets, 0);
  if (active !== FLOWS || packets !== FLOWS + reads * FLOWS * 20 || lost.packets !== 0)
    throw new Error(`read ${active} flows with ${packets} packets, ${lost.packets} lost`);
  return times;
}

/** A producer thread makes new flows at a rate; this thread does what the product's worker does. */
async function consume(
  target: number,
  durationMs: number,
): Promise<{ rate: number; lost: number; flows: number }> {
  using bench = rig();
  const { capture, program } = bench;
  const producer = new Worker(new URL("./lib/flow-producer.ts", import.meta.url), {
    workerData: { program, target, durationMs },
  });
  let running = true;
  const done = new Promise<{ produced: number; elapsedMs: number }>((resolve, reject) => {
    producer.once("message", resolve);
    producer.once("error", reject);
  });
  const reader = setInterval(() => capture.read(), options.readIntervalMs);
  const finished = done.finally(() => {
    running = false;
  });
  while (running) {
    await sleep(pollDelayMs(capture.drain(), options.ringBytes));
  }
  const { produced, elapsedMs } = await finished;
  clearInterval(reader);
  capture.read();
  const totals = capture.totals();
  let seenFlows = 0;
  let seenPackets = 0;
  for (const one of totals.traffic) {
    seenFlows += one.flows;
    seenPackets += one.packets;
  }
  // Every flow was of one packet: either in the table at some time, or said to be lost.
  if (seenPackets + totals.lost.packets !== produced)
    throw new Error(`${produced} packets made, ${seenPackets} seen, ${totals.lost.packets} said to be lost`);
  if (capture.drain() !== 0) throw new Error("events were left in the ring");
  return { rate: (capture.drained() / elapsedMs) * 1000, lost: totals.lost.events, flows: seenFlows };
}
