/**
 * The flows as the kernel last reported them, in their kernel form; names, addresses and JSON are made only for
 * what somebody asks. This is what keeps a read of 100,000 flows within milliseconds, and the heap small.
 *
 * An active flow is found by its element in the kernel's table, which its id tells; which flow of an element is the
 * newest known tells what comes too late. Slots of ended flows stay, oldest first out.
 */
import { flowFlag, flowKeyLayout, flowLayout } from "../generated/layout.ts";
import { INDEX_BITS, WHOLE_WORDS } from "../kernel/flow-table.ts";
import { verdictKind } from "../policy/enforce/verdict.ts";

export const KEY_WORDS: number = flowKeyLayout.size / 4;
/** Behind the key; with the cookies, which follow. */
export const FLOW_WORDS: number = WHOLE_WORDS - KEY_WORDS;
const SLOT_WORDS = WHOLE_WORDS;
const INDEX_MASK = 2 ** INDEX_BITS - 1;

const behindKey = (offset: number): number => (offset - flowKeyLayout.size) / 4;

/** Word offsets: of the key's fields in the key, of all others in what follows it. */
export const word = {
  last: behindKey(flowLayout.last),
  flags: behindKey(flowLayout.flags),
  id: behindKey(flowLayout.id),
  packets: behindKey(flowLayout.packets),
  bytes: behindKey(flowLayout.bytes),
  firstNs: behindKey(flowLayout.firstNs),
  process: behindKey(flowLayout.process),
  ifindex: behindKey(flowLayout.ifindex),
  icmp: behindKey(flowLayout.icmp),
  cookie: behindKey(flowLayout.size),
  verdict: behindKey(flowLayout.verdict),
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

/** What a report added: packets of side 0 and 1, bytes of side 0 and 1, and whether the flow got another verdict. */
export type Delta = Float64Array;

export function createDelta(): Delta {
  return new Float64Array(5);
}

export function hasCounted(delta: Delta): boolean {
  return delta[0] !== 0 || delta[1] !== 0;
}

/** Results of `update` beside a slot. */
export const UNCHANGED = -1;
export const UNKNOWN = -2;

export interface FlowTable {
  readonly active: number;
  /** Flows that ended and had to make room. */
  readonly forgotten: number;
  /**
   * Takes the kernel's words of a flow. @returns its slot, UNCHANGED also if it has ended meanwhile, or UNKNOWN: then
   * end what `occupant` tells and `add` it.
   */
  update(words: Uint32Array, flow: number, delta: Delta): number;
  /** A flow that `update` did not know. @returns its slot. */
  add(keyWords: Uint32Array, key: number, words: Uint32Array, flow: number, delta: Delta): number;
  /** @returns the active slot that is known in the flow's element, or -1. */
  occupant(words: Uint32Array, flow: number): number;
  /** Whether all that an update would bring is known: a cheap test, which reads nothing twice. */
  isCurrent(words: Uint32Array, flow: number): boolean;
  /** @returns the slot of an active flow, or -1. */
  slotOf(words: Uint32Array, flow: number): number;
  /** The same by the two words of its id. */
  slotOfId(low: number, high: number): number;
  /** A copy; valid until the next call. */
  raw(slot: number): Raw;
  /** Words of it without the copy: the flow's flags, the key's kind, the id. */
  flagsOf(slot: number): number;
  kindOf(slot: number): number;
  verdictOf(slot: number): number;
  idLow(slot: number): number;
  idHigh(slot: number): number;
  isActive(slot: number): boolean;
  /** It will change no more. Idempotent. */
  end(slot: number): void;
  /** Those of active flows, in no order. */
  activeSlots(): Iterable<number>;
  /** Slots from the newest flow to the oldest, ended ones included. */
  newestFirst(): number[];
}

/** Of a flow's id: the element that holds it. */
export function elementOf(idLow: number): number {
  return idLow & INDEX_MASK;
}

/**
 * @param elements of the kernel's table: most flows that are active at once.
 * @param recent most ended ones that are kept: a slot used again costs no further memory.
 */
export function createFlowTable(elements: number, recent: number): FlowTable {
  const capacity = elements + recent;
  // All at once: growing would stop the reader for tens of milliseconds, and pages cost memory only when used.
  const slots = new Uint32Array(capacity * SLOT_WORDS);
  const states = new Uint8Array(capacity); // 0 unused, 1 active, 2 ended
  /** Of an element: its active flow's slot + 1, and which of its flows is the newest known. */
  const slotAt = new Uint32Array(elements);
  const newestAt = new Uint32Array(elements);
  const scratch = new Uint32Array(SLOT_WORDS);
  const copy: Raw = { words: scratch, key: 0, flow: KEY_WORDS };
  let ended: number[] = [];
  let endedHead = 0;
  let used = 0;
  let active = 0;
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

  /** Which flow of its element: the id above INDEX_BITS. */
  const ordinal = (low: number, high: number): number =>
    ((low >>> INDEX_BITS) | (high << (32 - INDEX_BITS))) >>> 0;

  const slotOfId = (low: number, high: number): number => {
    const element = low & INDEX_MASK;
    return newestAt[element] === ordinal(low, high) ? (slotAt[element] as number) - 1 : -1;
  };
  const slotOf = (words: Uint32Array, flow: number): number =>
    slotOfId(words[flow + word.id] as number, words[flow + word.id + 1] as number);
  const write = (slot: number, words: Uint32Array, flow: number): void => {
    const at = slot * SLOT_WORDS + KEY_WORDS;
    for (let i = 0; i < FLOW_WORDS; i++) slots[at + i] = words[flow + i] as number;
  };

  return {
    get active() {
      return active;
    },
    get forgotten() {
      return forgotten;
    },
    update(words, flow, delta) {
      const low = words[flow + word.id] as number;
      const high = words[flow + word.id + 1] as number;
      const slot = slotOfId(low, high);
      if (slot < 0) return ordinal(low, high) > (newestAt[low & INDEX_MASK] as number) ? UNKNOWN : UNCHANGED;
      const before = slot * SLOT_WORDS + KEY_WORDS;
      const packets0 = u64(words, flow + word.packets) - u64(slots, before + word.packets);
      const packets1 = u64(words, flow + word.packets + 2) - u64(slots, before + word.packets + 2);
      const bytes0 = u64(words, flow + word.bytes) - u64(slots, before + word.bytes);
      const bytes1 = u64(words, flow + word.bytes + 2) - u64(slots, before + word.bytes + 2);
      // An event can be read after a newer state of its flow: counters never fall.
      if (packets0 < 0 || packets1 < 0 || bytes0 < 0 || bytes1 < 0) return UNCHANGED;
      // A packet's bytes come after it.
      const isNews = packets0 > 0 || packets1 > 0 || bytes0 > 0 || bytes1 > 0;
      const verdict = words[flow + word.verdict] as number;
      const hadVerdict = slots[before + word.verdict] as number;
      if (!isNews && words[flow + word.flags] === slots[before + word.flags] && verdict === hadVerdict)
        return UNCHANGED;
      delta[4] = verdictKind(hadVerdict) === verdictKind(verdict) ? 0 : 1;
      delta[0] = packets0;
      delta[1] = packets1;
      delta[2] = bytes0;
      delta[3] = bytes1;
      write(slot, words, flow);
      return slot;
    },
    add(keyWords, key, words, flow, delta) {
      const slot = take();
      const low = words[flow + word.id] as number;
      const element = low & INDEX_MASK;
      slotAt[element] = slot + 1;
      newestAt[element] = ordinal(low, words[flow + word.id + 1] as number);
      states[slot] = 1;
      active++;
      for (let i = 0; i < KEY_WORDS; i++) slots[slot * SLOT_WORDS + i] = keyWords[key + i] as number;
      write(slot, words, flow);
      delta[0] = u64(words, flow + word.packets);
      delta[1] = u64(words, flow + word.packets + 2);
      delta[2] = u64(words, flow + word.bytes);
      delta[3] = u64(words, flow + word.bytes + 2);
      return slot;
    },
    occupant: (words, flow) => (slotAt[(words[flow + word.id] as number) & INDEX_MASK] as number) - 1,
    isCurrent(words, flow) {
      const slot = slotOf(words, flow);
      if (slot < 0) return false;
      const before = slot * SLOT_WORDS + KEY_WORDS;
      // No counter gains 2^32 to the byte between two reads and stops there.
      return (
        words[flow + word.bytes] === slots[before + word.bytes] &&
        words[flow + word.bytes + 2] === slots[before + word.bytes + 2] &&
        words[flow + word.flags] === slots[before + word.flags] &&
        words[flow + word.verdict] === slots[before + word.verdict]
      );
    },
    slotOf,
    slotOfId,
    raw(slot) {
      // Word by word: a view for `set` costs more than so short a copy, and is garbage.
      const from = slot * SLOT_WORDS;
      for (let i = 0; i < SLOT_WORDS; i++) scratch[i] = slots[from + i] as number;
      return copy;
    },
    flagsOf: (slot) => slots[slot * SLOT_WORDS + KEY_WORDS + word.flags] as number,
    kindOf: (slot) => slots[slot * SLOT_WORDS + word.kind] as number,
    verdictOf: (slot) => slots[slot * SLOT_WORDS + KEY_WORDS + word.verdict] as number,
    idLow: (slot) => slots[slot * SLOT_WORDS + KEY_WORDS + word.id] as number,
    idHigh: (slot) => slots[slot * SLOT_WORDS + KEY_WORDS + word.id + 1] as number,
    isActive: (slot) => states[slot] === 1,
    end(slot) {
      if (states[slot] !== 1) return;
      const element = (slots[slot * SLOT_WORDS + KEY_WORDS + word.id] as number) & INDEX_MASK;
      slotAt[element] = 0;
      states[slot] = 2;
      active--;
      ended.push(slot);
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
