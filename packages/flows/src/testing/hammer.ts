/** A thread that runs the bench program again and again, beside others that do the same. */
import { workerData } from "node:worker_threads";
import { testRun } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { benchRequest } from "./bench-programs.ts";

export interface Hammering {
  readonly program: number;
  readonly requests: readonly Parameters<typeof benchRequest>[0][];
  /** Threads that are ready, threads that are done. */
  readonly progress: SharedArrayBuffer;
  readonly threads: number;
}

const { program, requests, progress, threads } = workerData as Hammering;
const counts = new Int32Array(progress);
const libc = openLibc();
Atomics.add(counts, 0, 1);
while (Atomics.load(counts, 0) < threads);
for (const request of requests) testRun(libc, program, benchRequest(request));
Atomics.add(counts, 1, 1);
