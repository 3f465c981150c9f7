import { expect, test } from "vitest";
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
  const followers = createFollowers({
    changes(_, changes: readonly FlowChange[], overflow) {
      told.push(...changes.map(({ change, flow }) => `${change} ${flow.id}`));
      dropped.push(overflow);
    },
  });
  followers.add(1, (slot) => slot !== 9, updates);
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
