/**
 * Where the nodes of the map stand. Places are shares of the drawing's width and height, so they outlive a change of
 * its size. Whoever has a place keeps it; d3-force finds room for newcomers, in a bounded number of steps and before
 * anything is drawn, so nothing ever moves by itself.
 */
import {
  forceCollide,
  forceLink,
  forceManyBody,
  forceSimulation,
  forceX,
  forceY,
  type SimulationNodeDatum,
} from "d3-force";
import type { Graph } from "./graph.ts";

/** From 0 to 1, of the middle of a node. */
export interface Place {
  readonly x: number;
  readonly y: number;
}

/** Within the drawing, to a tenth of a pixel: as it is kept, so that a place is the same after every visit. */
export function placeAt(x: number, y: number): Place {
  const share = (value: number): number => Math.round(Math.min(1, Math.max(0, value)) * 10_000) / 10_000;
  return { x: share(x), y: share(y) };
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Pixels of the drawing, and of the box that each node is. */
export interface Room extends Size {
  readonly box: Size;
}

/** d3-force's own cooling takes 300 steps from 1 to 0.001. */
const steps = 300;

interface Body extends SimulationNodeDatum {
  readonly key: string;
}

/** Deterministic; O(steps × nodes log nodes), with nodes bounded by the graph. */
export function settle(graph: Graph, known: ReadonlyMap<string, Place>, room: Room): Map<string, Place> {
  const { box } = room;
  // Collision works with circles: in a space pressed to the box's shape a box is a square, and a circle holds it.
  const [width, height] = [(room.width * box.height) / box.width, room.height];
  const bodies: Body[] = graph.nodes.map(({ key }) => {
    const place = known.get(key);
    if (place === undefined) return { key };
    const [x, y] = [(place.x - 0.5) * width, (place.y - 0.5) * height];
    return { key, x, y, fx: x, fy: y };
  });
  if (bodies.some(({ fx }) => fx === undefined)) {
    const links = graph.edges
      .filter(({ from, to }) => from !== to)
      .map(({ from, to }) => ({ source: from, target: to }));
    forceSimulation(bodies)
      .force(
        "link",
        forceLink<Body, { source: string | Body; target: string | Body }>(links)
          .id(({ key }) => key)
          .distance(height / 2),
      )
      .force("charge", forceManyBody<Body>().strength(-height / 2))
      .force("collide", forceCollide<Body>(box.height * 0.8).iterations(3))
      .force("x", forceX<Body>(0).strength(0.06))
      .force("y", forceY<Body>(0).strength((0.06 * width) / height))
      .force("walls", () => keepInside(bodies, width, height, box))
      .stop()
      .tick(steps);
    keepInside(bodies, width, height, box);
  }
  return new Map(bodies.map(({ key, x = 0, y = 0 }) => [key, placeAt(x / width + 0.5, y / height + 0.5)]));
}

function keepInside(bodies: readonly Body[], width: number, height: number, box: Size): void {
  const half = box.height / 2 + 2;
  for (const body of bodies) {
    if (body.fx !== undefined) continue;
    body.x = clamp(body.x ?? 0, width / 2 - half);
    body.y = clamp(body.y ?? 0, height / 2 - half);
  }
}

function clamp(value: number, most: number): number {
  return Math.max(-most, Math.min(most, value));
}
