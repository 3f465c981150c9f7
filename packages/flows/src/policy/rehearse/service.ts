/** The history, as the policy part reaches it. */
import { type Channel, type ServiceKey, serviceKey } from "@x0tta6bl4/core";
import type { ReplayRange } from "../../history/replay.ts";
import type { RecordingContract } from "../../recording/contract.ts";
import type { Owner } from "../workloads/name.ts";
import type { Needs, NeedsRequest, Rehearsed, RehearseRequest } from "./contract.ts";
import { replayEnded } from "./replays.ts";

/** Each ends with X0_FLOWS_REPLAY_ENDED when its signal aborts. @throws X0_FLOWS_OFF, X0_FLOWS_NO_HISTORY */
export interface RecordedTraffic {
  owners(range: ReplayRange, signal: AbortSignal): Promise<readonly Owner[]>;
  rehearse(request: Omit<RehearseRequest, "id">, signal: AbortSignal): Promise<Rehearsed>;
  needs(request: Omit<NeedsRequest, "id">, signal: AbortSignal): Promise<Needs>;
}

export const recordedTraffic: ServiceKey<RecordedTraffic> = serviceKey("flows.recorded");

/** @param channel of the recording thread. @throws what the channel's getter throws */
export function askRecorded(channel: () => Channel<RecordingContract>): RecordedTraffic {
  let replays = 0;
  const whileWanted = async <T>(signal: AbortSignal, work: (id: number) => Promise<T>): Promise<T> => {
    if (signal.aborted) throw replayEnded();
    const id = ++replays;
    const end = async (): Promise<void> => {
      try {
        await channel().call("stopReplay", id);
      } catch {
        // The thread is gone, and the replay with it.
      }
    };
    signal.addEventListener("abort", end, { once: true });
    try {
      return await work(id);
    } finally {
      signal.removeEventListener("abort", end);
    }
  };
  return {
    owners: (range, signal) =>
      whileWanted(signal, (id) => channel().call("recordedOwners", { ...range, id })),
    rehearse: (request, signal) =>
      whileWanted(signal, (id) => channel().call("rehearse", { ...request, id })),
    needs: (request, signal) =>
      whileWanted(signal, (id) => channel().call("recordedNeeds", { ...request, id })),
  };
}
