import { expect, test } from "vitest";
import type { Graph } from "./graph.ts";
import { type Place, settle } from "./layout.ts";

const box = { width: 104, height: 30 };
const room = { width: 1200, height: 420, box };
const node = (key: string) => ({ key, kind: "process", label: key, members: 1, bytes: 1, flows: 1 }) as const;

function star(leaves: number): Graph {
  const keys = Array.from({ length: leaves }, (_, index) => `leaf ${index}`);
  const sums = { bytes: 1, packets: 1, flows: 1, drops: 0, retransmits: 0 };
  return {
    nodes: ["middle", ...keys].map(node),
    edges: keys.map((key) => ({ from: "middle", to: key, ...sums })),
    hiddenEdges: 0,
  };
}

function overlaps(places: ReadonlyMap<string, Place>): number {
  const list = [...places.values()].map(({ x, y }) => ({ x: x * room.width, y: y * room.height }));
  let found = 0;
  for (const [index, a] of list.entries())
    for (const b of list.slice(index + 1))
      if (Math.abs(a.x - b.x) < box.width && Math.abs(a.y - b.y) < box.height) found++;
  return found;
}

test("all boxes lie inside the room, and none on another", () => {
  const places = settle(star(40), new Map(), room);
  expect(places.size).toBe(41);
  for (const { x, y } of places.values()) {
    expect(Math.abs(x - 0.5) * room.width).toBeLessThanOrEqual((room.width - box.width) / 2);
    expect(Math.abs(y - 0.5) * room.height).toBeLessThanOrEqual((room.height - box.height) / 2);
  }
  expect(overlaps(places)).toBe(0);
});

test("who has a place keeps it when others come", () => {
  const before = settle(star(6), new Map(), room);
  const after = settle(star(9), before, room);
  for (const [key, { x, y }] of before) {
    expect(after.get(key)?.x).toBeCloseTo(x, 9);
    expect(after.get(key)?.y).toBeCloseTo(y, 9);
  }
  expect(after.size).toBe(10);
});

test("the same graph finds the same places", () => {
  expect([...settle(star(12), new Map(), room)]).toEqual([...settle(star(12), new Map(), room)]);
});
