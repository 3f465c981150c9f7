/** Takes flows that are over out of the kernel's map. */
import { flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { deleteKeys, mapAccess } from "../kernel/bpf.ts";
import type { Libc } from "../kernel/libc.ts";
import { FLOW_WORDS, type FlowTable, KEY_WORDS } from "./table.ts";

const BATCH = 1024;

export interface Removal {
  /**
   * Idle flows go one by one with their very last figures, since a packet may have come meanwhile. Closed ones have
   * lingered long enough, and a server of many short connections has thousands of them: they go together.
   */
  removeAll(slots: readonly number[]): void;
  close(): void;
}

export interface RemovalOptions {
  /** Descriptor of the kernel's flow map. */
  readonly map: number;
  readonly table: FlowTable;
  /** Takes a flow's last report. */
  readonly enter: (keyWords: Uint32Array, keyAt: number, words: Uint32Array, flowAt: number) => void;
  readonly finish: (slot: number) => void;
}

export function createRemoval(libc: Libc, { map, table, enter, finish }: RemovalOptions): Removal {
  const access = mapAccess(libc);
  const keys = libc.allocate(BATCH * flowKeyLayout.size);
  const value = libc.allocate(flowLayout.size);
  const keyWords = new Uint32Array(keys.bytes.buffer, 0, BATCH * KEY_WORDS);
  const words = new Uint32Array(value.bytes.buffer, 0, FLOW_WORDS);
  let count = 0;

  const put = (slot: number): void => {
    const { words: from, key } = table.raw(slot);
    keyWords.set(from.subarray(key, key + KEY_WORDS), count * KEY_WORDS);
  };
  const flush = (): void => {
    deleteKeys(libc, map, keys, flowKeyLayout.size, count);
    count = 0;
  };
  return {
    removeAll(slots) {
      const idle: number[] = [];
      for (const slot of slots) {
        if (slot < 0 || !table.isActive(slot)) continue;
        if ((table.flagsOf(slot) & flowFlag.closed) === 0) {
          idle.push(slot);
          continue;
        }
        put(slot);
        finish(slot);
        if (++count === BATCH) flush();
      }
      flush();
      for (const slot of idle) {
        put(slot);
        if (access.lookupAndDelete(map, keys, value) >= 0) enter(keyWords, 0, words, 0);
        finish(slot);
      }
    },
    close() {
      keys.free();
      value.free();
    },
  };
}
