/** The graph of the flows at hand, and the places of its nodes. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { FlowRows } from "../rows.ts";
import { type Graph, type GraphBounds, graphOf } from "./graph.ts";
import { type Place, type Room, type Size, settle } from "./layout.ts";
import { loadPlaces, savePlaces } from "./places.ts";

export type MapSize = "small" | "large";

/** What has room for its name: a small map holds eight boxes, a large one forty. */
const bounds: Readonly<Record<MapSize, GraphBounds>> = {
  small: { services: 4, remotes: 4, edges: 16 },
  large: { services: 20, remotes: 20, edges: 80 },
};

/** Of a node's box: a name, and in the large map its bytes below it. */
export const boxes: Readonly<Record<MapSize, Size>> = {
  small: { width: 92, height: 18 },
  large: { width: 108, height: 30 },
};

/** 100,000 flows take some 50 ms to sum up: often enough to follow, seldom enough not to be felt. */
const everyMs = 2000;

/** Stands still while someone points at it. */
export function useGraph(rows: FlowRows, listed: boolean, size: MapSize, held: boolean): Graph {
  const [tick, setTick] = useState(0);
  useEffect(() => {
    if (held) return;
    const timer = setInterval(() => setTick((old) => old + 1), everyMs);
    return () => clearInterval(timer);
  }, [held]);
  return useMemo(() => graphOf(rows.all(), bounds[size]), [rows, listed, size, tick]);
}

export interface Places {
  readonly places: ReadonlyMap<string, Place>;
  /** Puts a node somewhere else, for good. */
  move(key: string, place: Place): void;
  /** Forgets all places and finds new ones. */
  tidy(): void;
}

/** Places last between visits; a newcomer is given one before it is drawn. */
export function usePlaces(graph: Graph, room: Room, host: string | undefined, size: MapSize): Places {
  const [revision, setRevision] = useState(0);
  const known = useRef<{ readonly id: string; places: Map<string, Place> }>(undefined);
  const id = `${size} ${host}`;
  if (known.current?.id !== id)
    known.current = { id, places: host === undefined ? new Map() : loadPlaces(localStorage, host, size) };
  const { current } = known;
  const keep = (): void => {
    if (host !== undefined) savePlaces(localStorage, host, size, current.places);
  };
  const keys = graph.nodes.map(({ key }) => key).join("\0");
  const places = useMemo(() => {
    // Before the node has said who it is nobody has a place.
    if (room.width === 0 || host === undefined) return new Map<string, Place>();
    const isNew = graph.nodes.some(({ key }) => !current.places.has(key));
    const found = settle(graph, current.places, room);
    for (const [key, place] of found) {
      // Set anew, so that the order is that of use.
      current.places.delete(key);
      current.places.set(key, place);
    }
    if (isNew) keep();
    return found;
  }, [keys, id, room.width > 0, revision]);
  return {
    places,
    move: (key, place) => {
      current.places.set(key, place);
      keep();
      setRevision((old) => old + 1);
    },
    tidy: () => {
      current.places.clear();
      setRevision((old) => old + 1);
    },
  };
}
