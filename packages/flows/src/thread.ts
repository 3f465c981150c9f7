/** A worker thread of this part: opened with its channel, ended within a deadline. */
import { type MessagePort, Worker } from "node:worker_threads";
import { type Channel, type ChannelContract, openChannel, siblingModule } from "@x0tta6bl4/core";

export interface Thread<Contract extends ChannelContract> {
  readonly channel: Channel<Contract>;
  /** Asks it to close, and ends it when it has or when the time is over: what it holds in the kernel goes with it. */
  stop(close: () => Promise<unknown>, deadlineMs: number): Promise<void>;
}

/** @param records the end of the line between the capturing and the recording thread. */
export function startThread<Contract extends ChannelContract>(
  module: string,
  name: string,
  records: MessagePort,
): Thread<Contract> {
  const worker = new Worker(siblingModule(module, import.meta.url), {
    name,
    workerData: { records },
    transferList: [records],
    // They keep flows off the heap; a small nursery saves 10 MB of resident memory each.
    resourceLimits: { maxYoungGenerationSizeMb: 4 },
  });
  const channel = openChannel<Contract>(worker);
  return {
    channel,
    async stop(close, deadlineMs) {
      const late = new Promise<void>((resolve) => setTimeout(resolve, deadlineMs).unref());
      // A thread that has died by itself needs no closing.
      await Promise.race([close().catch(() => undefined), late]);
      await worker.terminate();
    },
  };
}
