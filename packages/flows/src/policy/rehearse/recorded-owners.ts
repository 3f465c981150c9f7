import type { History } from "../../history/history.ts";
import type { ReplayRange } from "../../history/replay.ts";
import { type Owner, workloadName } from "../workloads/name.ts";
import { replayEnded } from "./replays.ts";
import { MOST_WORKLOADS, ownersByCgroup } from "./workloads.ts";

/** Units and containers whose processes had flows about that time. */
export async function recordedOwners(
  history: Pick<History, "replay">,
  range: ReplayRange,
  signal: AbortSignal,
): Promise<readonly Owner[]> {
  const ownersOf = ownersByCgroup();
  const owners = new Map<string, Owner>();
  const whole = await history.replay(range).processes((process) => {
    for (const owner of ownersOf(process))
      if (owners.size < MOST_WORKLOADS) owners.set(workloadName(owner), owner);
  }, signal);
  if (!whole) throw replayEnded();
  return [...owners.values()];
}
