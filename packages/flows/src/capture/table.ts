/**
 * The flows as the kernel last reported them, in their kernel form; names, addresses and JSON are made only for
 * what somebody asks. This is what keeps a read of 100,000 flows within tens of milliseconds, and the heap small.
 *
 * What changes with each packet (the first 48 bytes of the kernel's value) lies in one of two buffers, in the order
 * of the kernel's map: a full read walks the old buffer and writes the new one, both front to back, so that memory
 * is read ahead instead of waited for. Everything else lies in the flow's slot, which it keeps. Slots of ended flows
 * stay, oldest first out.
 */
import { flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { createIdIndex } from "./id-index.ts";

export const KEY_WORDS: number = flowKeyLayout.size / 4;
export const FLOW_WORDS: number = flowLayout.size / 4;
const HOT_WORDS = flowLayout.firstNs / 4;
/** A hot record ends with its slot, or with GONE once its flow has moved to the other buffer or ended. */
const RECORD_WORDS = HOT_WORDS + 1;
const GONE = 0xffff_ffff;
const SLOT_WORDS = KEY_WORDS + FLOW_WORDS;

/** Word offsets: of the key's fields in the key, of all others in the flow. */
export const word = {
  packets: flowLayout.packets / 4,
  bytes: flowLayout.bytes / 4,
  last: flowLayout.last / 4,
  flags: flowLayout.flags / 4,
  id: flowLayout.id / 4,
  firstNs: flowLayout.firstNs / 4,
  cookie: flowLayout.cookie / 4,
  process: flowLayout.process / 4,
  ifindex: flowLayout.ifindex / 4,
  icmp: flowLayout.icmp / 4,
  verdict: flowLayout.verdict / 4,
  port: flowKeyLayout.port / 4,
  /** One word: namespace in the low half, protocol above it. */
  kind: (flowKeyLayout.netns & ~3) / 4,
} as const;

/** A flow's words and where its key and its value begin in them. */
export interface Raw {
  readonly words: Uint32Array;
  readonly key: number;
  readonly flow: number;
}

/** What a report added: packets of side 0 and 1, bytes of side 0 and 1. */
export type Delta = Float64Array;

/** Results of `update` beside a slot. */
export const UNCHANGED = -1;
export const UNKNOWN = -2;

export interface FlowTable {
  readonly active: number;
  /** How many more flows `add` can take. */
  readonly room: number;
  /** Flows that ended and had to make room. */
  readonly forgotten: number;
  /** Takes the kernel's value of a flow. @returns its slot, UNCHANGED, or UNKNOWN: then `add` it. */
  update(words: Uint32Array, flow: number, delta: Delta): number;
  /** A flow that `update` did not know; needs room. @returns its slot. */
  add(keyWords: Uint32Array, key: number, words: Uint32Array, flow: number, delta: Delta): number;
  /** @returns the slot of an active flow, or -1. */
  slotOf(words: Uint32Array, flow: number): number;
  /** The same by the two words of its id. */
  slotOfId(low: number, high: number): number;
  /** A copy; valid until the next call. */
  raw(slot: number): Raw;
  /** Two words of it without the copy: the flow's flags, the key's kind. */
  flagsOf(slot: number): number;
  kindOf(slot: number): number;
  isActive(slot: number): boolean;
  /** It will change no more. Idempotent. */
  end(slot: number): void;
  /** Begins a full read: every flow of the kernel's map is to be updated or added now, best in the map's order. */
  beginRead(): void;
  /** Ends it. @returns the active slots that it did not meet: evicted flows, to be ended before the next read. */
  endRead(): number[];
  /** Those of active flows, in no order. */
  activeSlots(): Iterable<number>;
  /** Slots from the newest flow to the oldest, ended ones included. */
  newestFirst(): number[];
}

/**
 * @param capacity most flows, active and ended.
 * @param recent most ended ones that are kept while there is room: a slot used again costs no further memory.
 */
export function createFlowTable(capacity: number, recent: number): FlowTable {
  // All at once: growing would stop the reader for tens of milliseconds, and pages cost memory only when used.
  // Twice the flows, since the records of those that ended stay in the buffer until the next read.
  const recordWords = 2 * capacity * RECORD_WORDS;
  const records = [new Uint32Array(recordWords), new Uint32Array(recordWords)] as const;
  const slots = new Uint32Array(capacity * SLOT_WORDS);
  const states = new Uint8Array(capacity); // 0 unused, 1 active, 2 ended
  /** Of an active slot: which buffer its record is in, and at which word. */
  const bufferOf = new Uint8Array(capacity);
  const recordOf = new Uint32Array(capacity);
  const index = createIdIndex(capacity);
  const scratch = new Uint32Array(SLOT_WORDS);
  const copy: Raw = { words: scratch, key: 0, flow: KEY_WORDS };
  let current: 0 | 1 = 0;
  /** Words used of the current buffer, and of the other one where a read is under way; how far that has come there. */
  let filled = 0;
  let old = 0;
  let cursor = 0;
  let ended: number[] = [];
  let endedHead = 0;
  let used = 0;
  let forgotten = 0;

  const take = (): number => {
    if (used < capacity && ended.length - endedHead <= recent) return used++;
    const oldest = ended[endedHead++] as number;
    forgotten++;
    if (endedHead > 4096 && endedHead * 2 > ended.length) {
      ended = ended.slice(endedHead);
      endedHead = 0;
    }
    return oldest;
  };

  /** Gives a slot a record at the end of the current buffer. */
  const place = (slot: number): number => {
    const at = filled;
    filled += RECORD_WORDS;
    records[current][at + HOT_WORDS] = slot;
    bufferOf[slot] = current;
    recordOf[slot] = at;
    return at;
  };

  const copyCold = (slot: number, words: Uint32Array, flow: number): void => {
    const at = slot * SLOT_WORDS + KEY_WORDS;
    for (let i = HOT_WORDS; i < FLOW_WORDS; i++) slots[at + i] = words[flow + i] as number;
  };

  /** The slot of a flow, mostly the one at the cursor. */
  const find = (words: Uint32Array, flow: number): number => {
    const low = words[flow + word.id] as number;
    const high = words[flow + word.id + 1] as number;
    if (cursor < old) {
      const before = records[1 - current] as Uint32Array;
      const slot = before[cursor + HOT_WORDS] as number;
      if (slot !== GONE && before[cursor + word.id] === low && before[cursor + word.id + 1] === high) {
        cursor += RECORD_WORDS;
        return slot;
      }
    }
    const slot = index.get(low, high);
    // Go on behind it: one flow more or less must not cost the order of all that follow.
    if (slot >= 0 && old > 0 && bufferOf[slot] !== current)
      cursor = (recordOf[slot] as number) + RECORD_WORDS;
    return slot;
  };

  return {
    get active() {
      return index.size;
    },
    get room() {
      const slotsLeft = capacity - used + (ended.length - endedHead);
      // A read under way still has to move every active flow.
      return Math.min(slotsLeft, (recordWords - filled) / RECORD_WORDS - index.size);
    },
    get forgotten() {
      return forgotten;
    },
    update(words, flow, delta) {
      const slot = find(words, flow);
      if (slot < 0) return UNKNOWN;
      const from = records[bufferOf[slot] as 0 | 1];
      const before = recordOf[slot] as number;
      const flags = words[flow + word.flags] as number;
      const sameFlags = from[before + word.flags] === flags;
      const packets0 = u64(words, flow + word.packets) - u64(from, before + word.packets);
      const packets1 = u64(words, flow + word.packets + 2) - u64(from, before + word.packets + 2);
      // An event can be read after a newer state of its flow: counters never fall.
      const isNews = packets0 >= 0 && packets1 >= 0 && (packets0 > 0 || packets1 > 0 || !sameFlags);
      if (isNews) {
        delta[0] = packets0;
        delta[1] = packets1;
        delta[2] = u64(words, flow + word.bytes) - u64(from, before + word.bytes);
        delta[3] = u64(words, flow + word.bytes + 2) - u64(from, before + word.bytes + 2);
      }
      const moves = bufferOf[slot] !== current;
      if (moves) from[before + HOT_WORDS] = GONE;
      const at = moves ? place(slot) : before;
      const to = records[current];
      if (isNews) for (let i = 0; i < HOT_WORDS; i++) to[at + i] = words[flow + i] as number;
      else if (moves) for (let i = 0; i < HOT_WORDS; i++) to[at + i] = from[before + i] as number;
      if (!isNews) return UNCHANGED;
      const verdictAt = slot * SLOT_WORDS + KEY_WORDS + word.verdict;
      if (!sameFlags || slots[verdictAt] !== words[flow + word.verdict]) copyCold(slot, words, flow);
      return slot;
    },
    add(keyWords, key, words, flow, delta) {
      const slot = take();
      index.add(words[flow + word.id] as number, words[flow + word.id + 1] as number, slot);
      states[slot] = 1;
      const at = place(slot);
      for (let i = 0; i < HOT_WORDS; i++) records[current][at + i] = words[flow + i] as number;
      for (let i = 0; i < KEY_WORDS; i++) slots[slot * SLOT_WORDS + i] = keyWords[key + i] as number;
      copyCold(slot, words, flow);
      delta[0] = u64(words, flow + word.packets);
      delta[1] = u64(words, flow + word.packets + 2);
      delta[2] = u64(words, flow + word.bytes);
      delta[3] = u64(words, flow + word.bytes + 2);
      return slot;
    },
    slotOf: (words, flow) => index.get(words[flow + word.id] as number, words[flow + word.id + 1] as number),
    slotOfId: (low, high) => index.get(low, high),
    raw(slot) {
      // Word by word: a view for `set` costs more than so short a copy, and is garbage.
      const from = slot * SLOT_WORDS;
      for (let i = 0; i < SLOT_WORDS; i++) scratch[i] = slots[from + i] as number;
      if (states[slot] === 1) {
        const record = records[bufferOf[slot] as 0 | 1];
        const at = recordOf[slot] as number;
        for (let i = 0; i < HOT_WORDS; i++) scratch[KEY_WORDS + i] = record[at + i] as number;
      }
      return copy;
    },
    flagsOf(slot) {
      if (states[slot] !== 1) return slots[slot * SLOT_WORDS + KEY_WORDS + word.flags] as number;
      return records[bufferOf[slot] as 0 | 1][(recordOf[slot] as number) + word.flags] as number;
    },
    kindOf: (slot) => slots[slot * SLOT_WORDS + word.kind] as number,
    isActive: (slot) => states[slot] === 1,
    end(slot) {
      if (states[slot] !== 1) return;
      const at = recordOf[slot] as number;
      const record = records[bufferOf[slot] as 0 | 1];
      slots.set(record.subarray(at, at + HOT_WORDS), slot * SLOT_WORDS + KEY_WORDS);
      index.delete(record[at + word.id] as number, record[at + word.id + 1] as number);
      record[at + HOT_WORDS] = GONE;
      states[slot] = 2;
      ended.push(slot);
    },
    beginRead() {
      current = current === 0 ? 1 : 0;
      old = filled;
      filled = 0;
      cursor = 0;
    },
    endRead() {
      const gone: number[] = [];
      const before = records[1 - current] as Uint32Array;
      for (let at = 0; at < old; at += RECORD_WORDS) {
        const slot = before[at + HOT_WORDS] as number;
        if (slot !== GONE) gone.push(slot);
      }
      old = 0;
      return gone;
    },
    *activeSlots() {
      for (let slot = 0; slot < used; slot++) if (states[slot] === 1) yield slot;
    },
    newestFirst() {
      const all: number[] = [];
      const firsts = new Float64Array(used);
      for (let slot = 0; slot < used; slot++) {
        if (states[slot] === 0) continue;
        all.push(slot);
        firsts[slot] = u64(slots, slot * SLOT_WORDS + KEY_WORDS + word.firstNs);
      }
      return all.sort((a, b) => (firsts[b] as number) - (firsts[a] as number));
    },
  };
}

/** A little-endian 64-bit value as a number: exact up to 2^53, which ids and counters keep below. */
export function u64(words: Uint32Array, at: number): number {
  return (words[at + 1] as number) * 4_294_967_296 + (words[at] as number);
}

/** @param kind the key's word of that name. */
export function protocolOf(kind: number): number {
  return (kind >>> 16) & 0xff;
}

/** @param kind the key's word of that name. */
export function namespaceOf(kind: number): number {
  return kind & 0xffff;
}

/** Unit of a flow's `last`: LAST_SHIFT of bpf/types.h. */
export const TICK_MS: number = 2 ** 17 / 1e6;

/** CLOCK_MONOTONIC nanoseconds as the kernel keeps them in `last`; differences of the two wrap: `(a - b) | 0`. */
export function ticks(nowNs: number): number {
  return Math.floor(nowNs / 2 ** 17) >>> 0;
}

/** Whether side 1 opened the flow. */
export function openedBySecond(flags: number): boolean {
  return (flags & flowFlag.opener) !== 0;
}
