/** `GET /api/v1/flows/packets`: a packet capture as a pcapng file that grows until its time is over. */
import { Worker } from "node:worker_threads";
import {
  type BytesRoute,
  boundedQueue,
  openChannel,
  parseDuration,
  type RouteRequest,
  siblingModule,
} from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import {
  type PacketsContract,
  type PacketsOptions,
  type PacketsQuery,
  packetsQuerySchema,
} from "./contract.ts";

/** Chunks on their way: the thread stops at 16 MB of them, and each has at least one block of some size. */
const QUEUED_CHUNKS = 65_536;
/** Detaching takes milliseconds a device; a thread that is ended before it has detached leaves its links open. */
const CLOSE_MS = 30_000;

export interface PacketCaptures {
  readonly route: BytesRoute;
  /** Ends the capture that runs; before the maps of the flows go. */
  stop(): Promise<void>;
}

/** @param options what a capture takes beside its query. @throws X0_FLOWS_OFF where flows are not observed */
export function packetCaptures(options: () => Promise<Omit<PacketsOptions, "query">>): PacketCaptures {
  let running: { readonly stop: AbortController; readonly ended: Promise<void> } | undefined;
  return {
    route: {
      kind: "bytes",
      path: "/api/v1/flows/packets",
      summary: "Packets that match all filters, as pcapng with processes and verdicts in comments",
      contentType: "application/x-pcapng",
      query: packetsQuerySchema,
      async *open(request) {
        // Each copies every packet that it wants once more.
        if (running !== undefined)
          throw flowsFail("X0_FLOWS_PACKETS_BUSY", "packets are being captured already", {
            hint: "end the other x0 flows capture, or wait for it",
          });
        const stop = new AbortController();
        const { promise: ended, resolve: end } = Promise.withResolvers<void>();
        running = { stop, ended };
        try {
          yield* capture(request, await options(), AbortSignal.any([request.signal, stop.signal]));
        } finally {
          running = undefined;
          end();
        }
      },
    },
    async stop() {
      running?.stop.abort();
      await running?.ended;
    },
  };
}

async function* capture(
  request: RouteRequest,
  options: Omit<PacketsOptions, "query">,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const query = request.query as PacketsQuery;
  const worker = new Worker(siblingModule("worker", import.meta.url), { name: "x0-packets" });
  const channel = openChannel<PacketsContract>(worker);
  const queue = boundedQueue<Uint8Array>(QUEUED_CHUNKS);
  const ended = new AbortController();
  let failure: string | undefined;
  channel.on("blocks", (blocks) => queue.push(blocks));
  channel.on("failed", (message) => {
    failure = message;
    queue.close();
  });
  void channel.closed.then((error) => {
    failure ??= error?.message ?? "its thread ended";
    queue.close();
  });
  // What the thread has sent before its last blocks comes before them.
  const end = async (): Promise<void> => {
    const last = await channel.call("close", undefined).catch(() => undefined);
    if (last !== undefined) queue.push(last);
    queue.close();
  };
  try {
    const header = await channel.call("open", { ...options, query });
    const isOver = AbortSignal.any([signal, AbortSignal.timeout(parseDuration(query.for))]);
    if (isOver.aborted) void end();
    else isOver.addEventListener("abort", end, { once: true, signal: ended.signal });
    yield header;
    for await (const blocks of queue) {
      yield blocks;
      await channel.call("taken", blocks.length);
    }
    if (failure !== undefined)
      throw flowsFail("X0_FLOWS_PACKETS_FAILED", `the packet capture ended: ${failure}`, {
        hint: "try again",
      });
  } finally {
    ended.abort();
    // Where the client went away: what is attached is detached by this, not by the thread's end.
    await Promise.race([
      channel.call("close", undefined).catch(() => undefined),
      new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref()),
    ]);
    await worker.terminate();
  }
}
