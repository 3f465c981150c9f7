/** Who follows flows live, and what they have not been told yet. Bounded: what does not fit is counted and said. */
import type { FlowEvent } from "../event.ts";
import type { Flow, FlowChange } from "../flow.ts";
import type { CaptureOutput } from "./capture.ts";

/** Most changes in one message: more than a screen, less than what stalls the receiving thread. Of events likewise. */
const MOST = 2000;

/** What one of them asks for. */
export interface Following {
  readonly matches: (slot: number) => boolean;
  /** Judges an event by what it says itself: its flow is over or was never known. */
  readonly matchesEvent: (event: FlowEvent) => boolean;
  readonly updates: boolean;
}

export interface Followers {
  add(id: number, following: Following): void;
  remove(id: number): void;
  readonly count: number;
  /** Events that found no room. */
  readonly forgotten: number;
  started(slot: number): void;
  updated(slot: number): void;
  ended(slot: number): void;
  /** Goes to who would be told of its flow. @param slot of the flow; below 0: none */
  happened(event: FlowEvent, slot: number): void;
  /** Tells everybody what happened since the last call. */
  flush(flowOf: (slot: number) => Flow): void;
}

export function createFollowers(output: Pick<CaptureOutput, "changes" | "events">): Followers {
  const followers = new Map<number, Following & { news: FlowEvent[] }>();
  let forgotten = 0;
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
    add: (id, following) => void followers.set(id, { ...following, news: [] }),
    remove: (id) => void followers.delete(id),
    get count() {
      return followers.size;
    },
    get forgotten() {
      return forgotten;
    },
    started: (slot) => record(slot, "start"),
    updated: (slot) => record(slot, "update"),
    ended: (slot) => record(slot, "end"),
    happened(event, slot) {
      for (const { matches, matchesEvent, news } of followers.values()) {
        if (!(slot < 0 ? matchesEvent(event) : matches(slot))) continue;
        if (news.length < MOST) news.push(event);
        else forgotten++;
      }
    },
    flush(flowOf) {
      for (const [id, follower] of followers) {
        if (follower.news.length === 0) continue;
        output.events(id, follower.news);
        follower.news = [];
      }
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
