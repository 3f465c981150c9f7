/**
 * The kernel side's hash table of flows, through its mapped arrays: no system call reads a flow or takes one out.
 * Who may change what, and how two CPUs meet, is said in bpf/flow-table.h; here is user space's part of it.
 *
 * Elements are used from the lowest on, and again once they are free: only as many pages are mapped, and so resident,
 * as there ever were flows at once.
 */
import { randomFillSync } from "node:crypto";
import {
  bucketLayout,
  flowDetailLayout,
  flowKeyLayout,
  flowLayout,
  flowTableLayout,
  sparesLayout,
} from "../generated/layout.ts";
import type { Libc } from "./libc.ts";

const PAGE = 4096;
/** Elements that are mapped together: 1 MiB of flows, 256 KiB of details; whole pages of both. */
const WINDOW = 8192;
/** BUCKET_WORDS, BUCKETS_PROBED, INDEX_BITS of bpf/types.h. */
const BUCKET_WORDS = 15;
const BUCKETS_PROBED = 4;
export const INDEX_BITS = 23;
const SPARES = sparesLayout.size / 4;
const KEY_WORDS = flowKeyLayout.size / 4;

/** Words of an element of `flows`; its key comes first. */
export const ELEMENT_WORDS: number = flowLayout.size / 4;
const DETAIL_WORDS = flowDetailLayout.size / 4;
const COOKIE_WORDS = 4;
/** A flow and its cookies, as events have them too. */
export const WHOLE_WORDS: number = ELEMENT_WORDS + COOKIE_WORDS;
const ID = flowLayout.id / 4;
const COUNTERS = flowLayout.packets / 4;
const COUNTER_WORDS = 8;

export type FlowTableMaps = Readonly<Record<"flows" | "details" | "buckets" | "spares" | "table", number>>;

/** Of all maps those that hold flows. */
export function flowTableMaps({ flows, details, buckets, spares, table }: FlowTableMaps): FlowTableMaps {
  return { flows, details, buckets, spares, table };
}

export interface KernelFlows {
  /** Elements that hold flows or held some; makes them readable. */
  reach(): number;
  /** Element `index` begins at word `index * ELEMENT_WORDS`, while the kernel changes it. */
  readonly words: Uint32Array;
  /**
   * Copies an element and its cookies to the beginning of `into`, all of one moment but for counters that go on.
   *
   * @returns false if it holds no flow, or changes hands this moment.
   */
  copy(index: number, into: Uint32Array): boolean;
  /** The index of the flow whose key begins at `words[at]`, or -1. */
  find(words: Uint32Array, at: number): number;
  /**
   * Takes a flow out of the hash table. Another CPU may have found it before: its element may be freed only when
   * that must be done with it. @returns false if it is not there any more.
   */
  unlink(index: number, idLow: number, idHigh: number): boolean;
  /** Notes that these words of its flow are known: if nothing is added, its end need not be told. */
  know(index: number, words: Uint32Array, at: number): void;
  /** Gives back the element of a flow that was unlinked. */
  free(index: number): void;
  close(): void;
}

/** Entries of the maps for so many flows: three quarters of the words that point to flows can be in use. */
export function flowTableSizes(maxFlows: number): Readonly<Record<keyof FlowTableMaps, number>> {
  return {
    flows: maxFlows,
    details: maxFlows,
    buckets: homesFor(maxFlows) + BUCKETS_PROBED - 1,
    spares: sparesFor(maxFlows) / SPARES,
    table: 1,
  };
}

function homesFor(maxFlows: number): number {
  return Math.ceil((maxFlows * 4) / 3 / BUCKET_WORDS);
}

function sparesFor(maxFlows: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(maxFlows, SPARES)));
}

/**
 * Gives the table its secret and sizes, unless it has them: before that the kernel side counts nothing.
 *
 * @param map `table`; the others have the sizes of `flowTableSizes`.
 * @throws X0_FLOWS_KERNEL_CALL
 */
export function fitOutFlowTable(libc: Libc, map: number, maxFlows: number): void {
  const { bytes, view, free } = libc.map(map, PAGE, 0, true);
  if (view.getUint32(flowTableLayout.buckets, true) === 0) {
    randomFillSync(bytes, flowTableLayout.secret, flowTableLayout.buckets - flowTableLayout.secret);
    view.setUint32(flowTableLayout.capacity, maxFlows, true);
    // Of the low bits, 0 is free and all ones is taken.
    view.setInt32(flowTableLayout.tagMask, -(2 ** Math.ceil(Math.log2(maxFlows + 2))), true);
    view.setUint32(flowTableLayout.spareMask, sparesFor(maxFlows) - 1, true);
    Atomics.store(new Int32Array(bytes.buffer), flowTableLayout.buckets / 4, homesFor(maxFlows));
  }
  free();
}

/**
 * Maps the table, and fits it out if nobody has.
 *
 * @param maps with the sizes of `flowTableSizes`.
 * @throws X0_FLOWS_KERNEL_CALL
 */
export function openKernelFlows(libc: Libc, maps: FlowTableMaps, maxFlows: number): KernelFlows {
  const pages = (bytes: number): number => Math.ceil(bytes / PAGE) * PAGE;
  fitOutFlowTable(libc, maps.table, maxFlows);
  const table = libc.map(maps.table, PAGE, 0, true);
  const homes = homesFor(maxFlows);
  const buckets = libc.map(
    maps.buckets,
    pages(flowTableSizes(maxFlows).buckets * bucketLayout.size),
    0,
    true,
  );
  const spares = libc.map(maps.spares, pages(sparesFor(maxFlows) * 4), 0, true);
  const flows = libc.reserve(maps.flows, pages(maxFlows * flowLayout.size));
  const details = libc.reserve(maps.details, pages(maxFlows * flowDetailLayout.size));

  const control = new Int32Array(table.bytes.buffer);
  const field = (offset: number): number => Atomics.load(control, offset / 4) >>> 0;
  const indexMask = ~field(flowTableLayout.tagMask);
  const spareMask = field(flowTableLayout.spareMask);

  const pointers = new Int32Array(buckets.bytes.buffer);
  const spareWords = new Uint32Array(spares.bytes.buffer);
  const words = new Uint32Array(flows.bytes.buffer);
  const elements = new Int32Array(flows.bytes.buffer);
  const detailWords = new Uint32Array(details.bytes.buffer);
  const isMapped = new Uint8Array(Math.ceil(maxFlows / WINDOW));
  const reachIndex = (index: number): void => {
    const window = Math.floor(index / WINDOW);
    if (isMapped[window] === 1) return;
    isMapped[window] = 1;
    const elementsHere = Math.min(WINDOW, maxFlows - window * WINDOW);
    flows.reach(window * WINDOW * flowLayout.size, pages(elementsHere * flowLayout.size));
    details.reach(window * WINDOW * flowDetailLayout.size, pages(elementsHere * flowDetailLayout.size));
  };

  const secrets = Array.from({ length: 11 }, (_, index) =>
    table.view.getBigUint64(flowTableLayout.secret + 8 * index, true),
  );
  /** `hash_of` in bpf/flow-table.h. */
  const hashOf = (key: Uint32Array, at: number): number => {
    let sum = secrets[10] as bigint;
    for (let word = 0; word < KEY_WORDS; word += 2)
      sum +=
        ((secrets[word] as bigint) + BigInt(key[at + word] as number)) *
        ((secrets[word + 1] as bigint) + BigInt(key[at + word + 1] as number));
    return Number((sum >> 32n) & 0xffff_ffffn);
  };
  const isSame = (index: number, key: Uint32Array, at: number): boolean => {
    for (let word = 0; word < KEY_WORDS; word++)
      if (words[index * ELEMENT_WORDS + word] !== key[at + word]) return false;
    return true;
  };
  const passed = (bucket: number): number => bucket * (BUCKET_WORDS + 1) + BUCKET_WORDS;

  return {
    words,
    reach() {
      const used = Math.min(field(flowTableLayout.next), maxFlows);
      for (let index = 0; index < used; index += WINDOW) reachIndex(index);
      return used;
    },
    copy(index, into) {
      const at = index * ELEMENT_WORDS;
      const low = Atomics.load(elements, at + ID);
      const high = Atomics.load(elements, at + ID + 1);
      if (low === 0 && high === 0) return false;
      for (let word = 0; word < ELEMENT_WORDS; word++) into[word] = words[at + word] as number;
      // The kernel adds in 64 bits, we read 32 at a time.
      for (let word = COUNTERS; word < COUNTERS + COUNTER_WORDS; word += 2)
        while (into[word + 1] !== Atomics.load(elements, at + word + 1) >>> 0) {
          into[word + 1] = Atomics.load(elements, at + word + 1);
          into[word] = Atomics.load(elements, at + word);
        }
      for (let word = 0; word < COOKIE_WORDS; word++)
        into[ELEMENT_WORDS + word] = detailWords[index * DETAIL_WORDS + word] as number;
      return low === Atomics.load(elements, at + ID) && high === Atomics.load(elements, at + ID + 1);
    },
    find(key, at) {
      const hash = hashOf(key, at);
      const tag = Math.imul(hash, 0x9e3779b1) & ~indexMask;
      const home = Math.floor((hash * homes) / 2 ** 32);
      for (let bucket = home; bucket < home + BUCKETS_PROBED; bucket++) {
        for (let word = 0; word < BUCKET_WORDS; word++) {
          const pointer = Atomics.load(pointers, bucket * (BUCKET_WORDS + 1) + word);
          const index = (pointer & indexMask) - 1;
          if ((pointer & ~indexMask) !== tag || index < 0 || index >= maxFlows) continue;
          reachIndex(index);
          if (isSame(index, key, at)) return index;
        }
        if ((Atomics.load(pointers, passed(bucket)) & 0x7fff_ffff) === 0) return -1;
      }
      return -1;
    },
    unlink(index, idLow, idHigh) {
      const place = detailWords[index * DETAIL_WORDS + flowDetailLayout.place / 4] as number;
      const bucket = place >>> 6;
      const at = bucket * (BUCKET_WORDS + 1) + ((place >>> 2) & 15);
      const pointer = Atomics.load(pointers, at);
      if ((pointer & indexMask) !== index + 1) return false;
      const element = index * ELEMENT_WORDS + ID;
      if (Atomics.load(elements, element) >>> 0 !== idLow) return false;
      if (Atomics.load(elements, element + 1) >>> 0 !== idHigh) return false;
      if (Atomics.compareExchange(pointers, at, pointer, 0) !== pointer) return false;
      for (let before = 1; before <= (place & 3); before++) Atomics.sub(pointers, passed(bucket - before), 1);
      return true;
    },
    know(index, from, at) {
      reachIndex(index);
      let figures = from[at + ID] as number;
      for (let word = COUNTERS; word < COUNTERS + COUNTER_WORDS; word += 2)
        figures += from[at + word] as number;
      detailWords[index * DETAIL_WORDS + flowDetailLayout.seen / 4] = figures;
    },
    free(index) {
      const at = index * ELEMENT_WORDS;
      Atomics.store(elements, at + ID, 0);
      Atomics.store(elements, at + ID + 1, 0);
      words.fill(0, at + COUNTERS, at + COUNTERS + COUNTER_WORDS);
      const given = field(flowTableLayout.given);
      spareWords[given & spareMask] = index;
      Atomics.store(control, flowTableLayout.given / 4, given + 1);
    },
    close() {
      for (const memory of [table, buckets, spares, flows, details]) memory.free();
    },
  };
}
