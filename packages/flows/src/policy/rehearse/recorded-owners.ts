import type { History } from "../../history/history.ts";
import type { ReplayRange } from "../../history/replay.ts";
import { replayEnded } from "./replays.ts";
import { MOST_WORKLOADS, type Owner, workloadKey } from "./workloads.ts";

/** Units and containers whose processes had flows about that time. */
export async function recordedOwners(
  history: Pick<History, "replay">,
  range: ReplayRange,
  signal: AbortSignal,
): Promise<readonly Owner[]> {
  const owners = new Map<string, Owner>();
  const whole = await history.replay(range).processes(({ unit, container }) => {
    const key = workloadKey({ unit, container });
    if (key !== undefined && owners.size < MOST_WORKLOADS) owners.set(key, { unit, container });
  }, signal);
  if (!whole) throw replayEnded();
  return [...owners.values()];
}
