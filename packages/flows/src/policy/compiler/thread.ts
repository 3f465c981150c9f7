/** A compiler in a thread of its own, which is there only while there is something to do. */
import { Worker } from "node:worker_threads";
import { type Channel, openChannel, siblingModule } from "@x0tta6bl4/core";
import type { PolicyConfig } from "../config.ts";
import type { CompilerCalls, CompilerContract, PolicyCompiler } from "./contract.ts";

/** What comes next, as a rule at once, finds it warm. Its memory is 30 MB and more. */
const IDLE_MS = 10_000;

export interface ThreadedCompiler extends PolicyCompiler {
  stop(): Promise<void>;
}

interface Running {
  readonly worker: Worker;
  readonly channel: Channel<CompilerContract>;
}

export function threadedCompiler(config: PolicyConfig): ThreadedCompiler {
  let running: Running | undefined;
  let idle: NodeJS.Timeout | undefined;
  let pending = 0;

  const begun = (): Running => {
    if (running !== undefined) return running;
    const worker = new Worker(siblingModule("worker", import.meta.url), {
      name: "x0-policy",
      workerData: { config },
    });
    // Nothing of the agent waits for it.
    worker.unref();
    const begun = { worker, channel: openChannel<CompilerContract>(worker) };
    running = begun;
    void begun.channel.closed.then(() => {
      if (running === begun) running = undefined;
    });
    return begun;
  };
  const stop = async (): Promise<void> => {
    clearTimeout(idle);
    const ending = running;
    running = undefined;
    await ending?.worker.terminate();
  };
  const call = async <Name extends keyof CompilerCalls>(
    name: Name,
    request: Parameters<CompilerCalls[Name]>[0],
  ): Promise<ReturnType<CompilerCalls[Name]>> => {
    clearTimeout(idle);
    pending++;
    try {
      const answer = await begun().channel.call(name, request);
      return answer as ReturnType<CompilerCalls[Name]>;
    } finally {
      if (--pending === 0) idle = setTimeout(() => void stop(), IDLE_MS).unref();
    }
  };
  return {
    read: (request) => call("read", request),
    check: (request) => call("check", request),
    take: (documents) => call("take", documents),
    part: (index) => call("part", index),
    tables: (request) => call("tables", request),
    remarks: (request) => call("remarks", request),
    rehearsal: (request) => call("rehearsal", request),
    stop,
  };
}
