/** Where the latest row of each flow is that goes on: without it, a flow with several rows would be several flows. */
import { createIdIndex } from "../capture/id-index.ts";
import { BLOCK_ROWS } from "./block.ts";

export interface OpenFlows {
  readonly size: number;
  /** Flows that found no place: they count from their end on. */
  readonly refused: number;
  /** The flow's latest row is now this one. */
  put(id: number, block: number, row: number): void;
  /** It is over. @returns whether it was known. */
  delete(id: number): boolean;
  /** Whether a row is its flow's latest. */
  isLatest(id: number, block: number, row: number): boolean;
  /** Blocks with a latest row, lowest number first. */
  blocks(): readonly number[];
  /** Of a flow that is known. */
  blockOf(id: number): number | undefined;
}

/** @param capacity most flows at once. */
export function createOpenFlows(capacity: number): OpenFlows {
  const index = createIdIndex(capacity);
  /** Block × BLOCK_ROWS + row. */
  const positions = new Float64Array(capacity);
  const free: number[] = [];
  const rowsOf = new Map<number, number>();
  let used = 0;
  let refused = 0;

  const count = (position: number, by: number): void => {
    const block = Math.floor(position / BLOCK_ROWS);
    const rows = (rowsOf.get(block) ?? 0) + by;
    if (rows === 0) rowsOf.delete(block);
    else rowsOf.set(block, rows);
  };
  const slotOf = (id: number): number => index.get(id >>> 0, Math.floor(id / 2 ** 32));

  return {
    get size() {
      return index.size;
    },
    get refused() {
      return refused;
    },
    put(id, block, row) {
      let slot = slotOf(id);
      if (slot >= 0) count(positions[slot] as number, -1);
      else {
        if (free.length === 0 && used === capacity) {
          refused++;
          return;
        }
        slot = free.pop() ?? used++;
        index.add(id >>> 0, Math.floor(id / 2 ** 32), slot);
      }
      positions[slot] = block * BLOCK_ROWS + row;
      count(positions[slot] as number, 1);
    },
    delete(id) {
      const slot = slotOf(id);
      if (slot < 0) return false;
      count(positions[slot] as number, -1);
      index.delete(id >>> 0, Math.floor(id / 2 ** 32));
      free.push(slot);
      return true;
    },
    isLatest(id, block, row) {
      const slot = slotOf(id);
      return slot >= 0 && positions[slot] === block * BLOCK_ROWS + row;
    },
    blocks: () => [...rowsOf.keys()].sort((a, b) => a - b),
    blockOf(id) {
      const slot = slotOf(id);
      return slot < 0 ? undefined : Math.floor((positions[slot] as number) / BLOCK_ROWS);
    },
  };
}
