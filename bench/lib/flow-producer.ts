/** Worker of `flows-read`: makes new flows in the kernel at a steady rate for a while, then says how many. */
import { parentPort, workerData } from "node:worker_threads";
import { openLibc } from "@x0tta6bl4/flows";
import { testRun } from "../../packages/flows/src/kernel/bpf.ts";
import { benchMode, benchRequest } from "../../packages/flows/src/testing/bench-programs.ts";

const { program, target, durationMs } = workerData as { program: number; target: number; durationMs: number };
const libc = openLibc();
const started = performance.now();
let produced = 0;
for (;;) {
  const elapsedMs = performance.now() - started;
  const due = Math.floor((Math.min(elapsedMs, durationMs) * target) / 1000);
  while (produced < due) {
    const count = Math.min(1000, due - produced);
    testRun(libc, program, benchRequest({ mode: benchMode.fresh, rounds: count, flows: 1, seed: produced }));
    produced += count;
  }
  if (elapsedMs >= durationMs) break;
  // A millisecond's worth at a time, as traffic comes, rather than all at once.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}
parentPort?.postMessage({ produced, elapsedMs: performance.now() - started });
