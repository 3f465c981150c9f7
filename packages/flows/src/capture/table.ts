/**
 * The flows as the kernel last reported them, in their kernel form: a slot is one key and one value, copied word
 * by word; names, addresses and JSON are made only for what somebody asks. At 100,000 flows this is what keeps a
 * read of the kernel's map within tens of milliseconds, and the heap small.
 *
 * Slots of ended flows stay, oldest first out, until `capacity` is reached.
 */
import { flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";

export const KEY_WORDS: number = flowKeyLayout.size / 4;
export const FLOW_WORDS: number = flowLayout.size / 4;
const SLOT_WORDS = KEY_WORDS + FLOW_WORDS;
const CHUNK_BITS = 12;
const CHUNK_SLOTS = 1 << CHUNK_BITS;

/** Word offsets within a slot's flow part. */
export const word = {
  id: flowLayout.id / 4,
  firstNs: flowLayout.firstNs / 4,
  lastNs: flowLayout.lastNs / 4,
  packets: flowLayout.packets / 4,
  bytes: flowLayout.bytes / 4,
  cookie: flowLayout.cookie / 4,
  process: flowLayout.process / 4,
  flags: flowLayout.flags / 4,
  ifindex: flowLayout.ifindex / 4,
  icmp: flowLayout.icmp / 4,
  port: flowKeyLayout.port / 4,
  netns: flowKeyLayout.netns / 4,
  protocol: flowKeyLayout.protocol / 4,
} as const;

/** A slot's words and where its key and its value begin. */
export interface Raw {
  readonly words: Uint32Array;
  readonly key: number;
  readonly flow: number;
}

/** What a report added to a flow, by side; reused between calls. */
export interface Delta {
  fresh: boolean;
  readonly packets: [number, number];
  readonly bytes: [number, number];
}

export interface FlowTable {
  readonly active: number;
  readonly size: number;
  /** Flows that ended and had to make room. */
  readonly forgotten: number;
  /**
   * Takes a key and a value as the kernel gave them. Unchanged flows cost one look-up.
   *
   * @returns the slot, or -1 if nothing changed since the last report.
   */
  report(words: Uint32Array, key: number, flow: number, delta: Delta): number;
  /** The slot of a flow that is known and unchanged, marked as met by this read; -1 otherwise. */
  seen(words: Uint32Array, flow: number): number;
  slotOf(id: number): number | undefined;
  raw(slot: number): Raw;
  isActive(slot: number): boolean;
  /** It will change no more. Idempotent. */
  end(slot: number): void;
  /** Marks the beginning of a full read: what is not reported until `missing` is called was evicted. */
  beginRead(): void;
  /** Active slots that the read did not meet. */
  missing(): number[];
  /** Slots from the newest flow to the oldest, ended ones included. */
  newestFirst(): number[];
}

/** A little-endian 64-bit value as a number: exact up to 2^53, which ids and counters keep below. */
export function u64(words: Uint32Array, at: number): number {
  return (words[at + 1] as number) * 2 ** 32 + (words[at] as number);
}

/** @param capacity most flows, active and ended. */
export function createFlowTable(capacity: number): FlowTable {
  const chunks: Uint32Array[] = [];
  const slots = new Map<number, number>();
  let states = new Uint8Array(CHUNK_SLOTS); // 0 free, 1 active, 2 ended
  let readAt = new Uint32Array(CHUNK_SLOTS);
  const free: number[] = [];
  let ended: number[] = [];
  let endedHead = 0;
  let used = 0;
  let reads = 0;
  let forgotten = 0;

  const chunkOf = (slot: number): Uint32Array => chunks[slot >>> CHUNK_BITS] as Uint32Array;
  const offsetOf = (slot: number): number => (slot & (CHUNK_SLOTS - 1)) * SLOT_WORDS;

  const release = (): void => {
    // The oldest ended flow; where all are active, none of them may go: the kernel's own limit is lower.
    const slot = ended[endedHead++];
    if (slot === undefined) return;
    if (endedHead > 4096 && endedHead * 2 > ended.length) {
      ended = ended.slice(endedHead);
      endedHead = 0;
    }
    states[slot] = 0;
    free.push(slot);
    forgotten++;
  };

  const take = (): number => {
    if (free.length === 0 && used >= capacity) release();
    const recycled = free.pop();
    if (recycled !== undefined) return recycled;
    const slot = used++;
    if (slot >>> CHUNK_BITS === chunks.length) {
      chunks.push(new Uint32Array(CHUNK_SLOTS * SLOT_WORDS));
      if (slot >= states.length) {
        const wider = states.length * 2;
        const nextStates = new Uint8Array(wider);
        nextStates.set(states);
        states = nextStates;
        const nextReads = new Uint32Array(wider);
        nextReads.set(readAt);
        readAt = nextReads;
      }
    }
    return slot;
  };

  const isSame = (chunk: Uint32Array, at: number, words: Uint32Array, flow: number): boolean =>
    chunk[at + word.lastNs] === words[flow + word.lastNs] &&
    chunk[at + word.flags] === words[flow + word.flags] &&
    chunk[at + word.packets] === words[flow + word.packets] &&
    chunk[at + word.packets + 2] === words[flow + word.packets + 2] &&
    chunk[at + word.process] === words[flow + word.process] &&
    chunk[at + word.process + 2] === words[flow + word.process + 2];

  return {
    get active() {
      return slots.size;
    },
    get size() {
      return used - free.length;
    },
    get forgotten() {
      return forgotten;
    },
    report(words, key, flow, delta) {
      const id = u64(words, flow + word.id);
      let slot = slots.get(id);
      delta.fresh = slot === undefined;
      if (slot === undefined) {
        slot = take();
        slots.set(id, slot);
        states[slot] = 1;
        const chunk = chunkOf(slot);
        const at = offsetOf(slot);
        for (let i = 0; i < KEY_WORDS; i++) chunk[at + i] = words[key + i] as number;
        for (let i = 0; i < FLOW_WORDS; i++) chunk[at + KEY_WORDS + i] = words[flow + i] as number;
        readAt[slot] = reads;
        for (const side of [0, 1] as const) {
          delta.packets[side] = u64(words, flow + word.packets + 2 * side);
          delta.bytes[side] = u64(words, flow + word.bytes + 2 * side);
        }
        return slot;
      }
      readAt[slot] = reads;
      const chunk = chunkOf(slot);
      const at = offsetOf(slot) + KEY_WORDS;
      if (isSame(chunk, at, words, flow)) return -1;
      for (const side of [0, 1] as const) {
        delta.packets[side] =
          u64(words, flow + word.packets + 2 * side) - u64(chunk, at + word.packets + 2 * side);
        delta.bytes[side] = u64(words, flow + word.bytes + 2 * side) - u64(chunk, at + word.bytes + 2 * side);
      }
      // An event may be read after a newer state of the same flow: counters never fall.
      if (delta.packets[0] < 0 || delta.packets[1] < 0) return -1;
      for (let i = 0; i < FLOW_WORDS; i++) chunk[at + i] = words[flow + i] as number;
      return slot;
    },
    seen(words, flow) {
      const slot = slots.get(u64(words, flow + word.id));
      if (slot === undefined || !isSame(chunkOf(slot), offsetOf(slot) + KEY_WORDS, words, flow)) return -1;
      readAt[slot] = reads;
      return slot;
    },
    slotOf: (id) => slots.get(id),
    raw(slot) {
      const at = offsetOf(slot);
      return { words: chunkOf(slot), key: at, flow: at + KEY_WORDS };
    },
    isActive: (slot) => states[slot] === 1,
    end(slot) {
      if (states[slot] !== 1) return;
      states[slot] = 2;
      slots.delete(u64(chunkOf(slot), offsetOf(slot) + KEY_WORDS + word.id));
      ended.push(slot);
    },
    beginRead() {
      reads = (reads + 1) >>> 0;
    },
    missing() {
      const gone: number[] = [];
      for (const slot of slots.values()) if (readAt[slot] !== reads) gone.push(slot);
      return gone;
    },
    newestFirst() {
      const all: number[] = [];
      for (let slot = 0; slot < used; slot++) if (states[slot] !== 0) all.push(slot);
      const firstOf = (slot: number): number => u64(chunkOf(slot), offsetOf(slot) + KEY_WORDS + word.firstNs);
      const firsts = new Map(all.map((slot) => [slot, firstOf(slot)]));
      return all.sort((a, b) => (firsts.get(b) as number) - (firsts.get(a) as number));
    },
  };
}

/** Whether side 1 opened the flow. */
export function openedBySecond(flags: number): boolean {
  return (flags & flowFlag.opener) !== 0;
}
