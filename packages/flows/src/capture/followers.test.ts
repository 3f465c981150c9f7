import { expect, test } from "vitest";
import type { FlowEvent } from "../event.ts";
import type { Flow, FlowChange } from "../flow.ts";
import { createFollowers } from "./followers.ts";

const flowOf = (slot: number): Flow => ({ id: String(slot) }) as Flow;

function followed(updates: boolean): {
  followers: ReturnType<typeof createFollowers>;
  told: string[];
  dropped: number[];
} {
  const told: string[] = [];
  const dropped: number[] = [];
  const matchesEvent = ({ kind }: FlowEvent): boolean => kind !== "dns";
  const followers = createFollowers({
    changes(_, changes: readonly FlowChange[], overflow) {
      told.push(...changes.map(({ change, flow }) => `${change} ${flow.id}`));
      dropped.push(overflow);
    },
    events: (_, events) => void told.push(...events.map(({ kind, time }) => `${kind} ${time}`)),
  });
  followers.add(1, { matches: (slot) => slot !== 9, matchesEvent, updates });
  return { followers, told, dropped };
}

test("each flow starts once and ends once, also when both fall between two calls", () => {
  const { followers, told } = followed(false);
  followers.started(1);
  followers.updated(1);
  followers.started(2);
  followers.ended(2);
  followers.started(9);
  followers.flush(flowOf);
  followers.updated(1);
  followers.ended(1);
  followers.flush(flowOf);
  expect(told).toEqual(["start 1", "start 2", "end 2", "end 1"]);
});

test("updates go to those who want them; what finds no room is counted", () => {
  const { followers, told, dropped } = followed(true);
  followers.updated(1);
  followers.flush(flowOf);
  expect(told).toEqual(["update 1"]);
  for (let slot = 10; slot < 3010; slot++) followers.started(slot);
  followers.flush(flowOf);
  expect(told).toHaveLength(2001);
  expect(dropped).toEqual([0, 1000]);
});

test("an event goes where its flow goes, without one by what it says itself; what finds no room is counted", () => {
  const { followers, told } = followed(false);
  const event = (kind: FlowEvent["kind"], time: string): FlowEvent => ({ kind, time }) as FlowEvent;
  followers.happened(event("dns", "of a wanted flow"), 1);
  followers.happened(event("drop", "of another flow"), 9);
  followers.happened(event("drop", "of none"), -1);
  followers.happened(event("dns", "of none"), -1);
  followers.flush(flowOf);
  followers.flush(flowOf);
  expect(told).toEqual(["dns of a wanted flow", "drop of none"]);
  for (let count = 0; count < 2010; count++) followers.happened(event("drop", ""), 1);
  followers.flush(flowOf);
  expect(told).toHaveLength(2002);
  expect(followers.forgotten).toBe(10);
});
