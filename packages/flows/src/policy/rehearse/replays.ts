/** The replays under way in the recording thread: each can be ended, when nobody waits for it any more. */
import type { X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import type { History } from "../../history/history.ts";
import type { RehearsalCalls } from "./contract.ts";

/** @param opened the history. Loads what judges when it is first asked. */
export function serveReplays(opened: () => History): {
  readonly [Name in keyof RehearsalCalls]: (
    request: Parameters<RehearsalCalls[Name]>[0],
  ) => Promise<ReturnType<RehearsalCalls[Name]>>;
} {
  const wanted = new Map<number, AbortController>();
  let last: Promise<unknown> = Promise.resolve();
  /** One at a time: records come in between, and all of them share one thread. */
  const whileWanted = <T>(id: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const abort = new AbortController();
    wanted.set(id, abort);
    const result = last.then(() => work(abort.signal)).finally(() => wanted.delete(id));
    last = result.catch(() => undefined);
    return result;
  };
  return {
    recordedOwners: (request) =>
      whileWanted(request.id, async (signal) => {
        const { recordedOwners } = await import("./recorded-owners.ts");
        return recordedOwners(opened(), request, signal);
      }),
    rehearse: (request) =>
      whileWanted(request.id, async (signal) => {
        const { rehearse } = await import("./rehearse.ts");
        return rehearse(opened(), request, signal);
      }),
    recordedNeeds: (request) =>
      whileWanted(request.id, async (signal) => {
        const { recordedNeeds } = await import("./recorded-needs.ts");
        return recordedNeeds(opened(), request, signal);
      }),
    async stopReplay(id) {
      wanted.get(id)?.abort();
    },
  };
}

export function replayEnded(): X0Error {
  return flowsFail("X0_FLOWS_REPLAY_ENDED", "the replay of recorded flows was ended before its time", {
    hint: "ask again",
  });
}
