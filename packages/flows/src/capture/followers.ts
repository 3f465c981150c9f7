/** Who follows flows live, and what they have not been told yet. Bounded: what does not fit is counted and said. */
import type { Flow, FlowChange } from "../flow.ts";
import type { CaptureOutput } from "./capture.ts";

/** Most changes in one message: more than a screen, less than what stalls the receiving thread. */
const MOST = 2000;

export interface Followers {
  add(id: number, matches: (slot: number) => boolean, updates: boolean): void;
  remove(id: number): void;
  readonly count: number;
  started(slot: number): void;
  updated(slot: number): void;
  ended(slot: number): void;
  /** Tells everybody what happened since the last call. */
  flush(flowOf: (slot: number) => Flow): void;
}

interface Follower {
  readonly matches: (slot: number) => boolean;
  readonly updates: boolean;
}

export function createFollowers(output: Pick<CaptureOutput, "changes">): Followers {
  const followers = new Map<number, Follower>();
  /** `whole`: started and ended since the last call. */
  const pending = new Map<number, FlowChange["change"] | "whole">();
  let overflow = 0;
  const record = (slot: number, change: FlowChange["change"]): void => {
    if (followers.size === 0) return;
    const earlier = pending.get(slot);
    // A start that was not told yet carries the update with it.
    if (earlier === "start" && change === "update") return;
    if (earlier === undefined && pending.size >= MOST) overflow++;
    else pending.set(slot, earlier === "start" && change === "end" ? "whole" : change);
  };
  return {
    add: (id, matches, updates) => void followers.set(id, { matches, updates }),
    remove: (id) => void followers.delete(id),
    get count() {
      return followers.size;
    },
    started: (slot) => record(slot, "start"),
    updated: (slot) => record(slot, "update"),
    ended: (slot) => record(slot, "end"),
    flush(flowOf) {
      if (pending.size === 0 && overflow === 0) return;
      for (const [id, follower] of followers) {
        const changes: FlowChange[] = [];
        for (const [slot, change] of pending) {
          if (change === "update" && !follower.updates) continue;
          if (!follower.matches(slot)) continue;
          const flow = flowOf(slot);
          if (change === "whole") changes.push({ change: "start", flow }, { change: "end", flow });
          else changes.push({ change, flow });
        }
        if (changes.length > 0 || overflow > 0) output.changes(id, changes, overflow);
      }
      pending.clear();
      overflow = 0;
    },
  };
}
