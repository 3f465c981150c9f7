/**
 * Which two flows are one translated connection: a bounded table from either flow's key to the other's. Look-ups
 * allocate nothing and cost a few cache lines.
 *
 * Open addressing over two references a pair, one for each key. A connection that is over is still found for a
 * while, since its flows end later than its entry in the kernel; then it is forgotten, as its tuples may be used
 * again by one that is not translated. Where there is no room, those that are over go first.
 */
import { KEY_WORDS } from "./key.ts";

const PAIR_WORDS = 2 * KEY_WORDS;
const EMPTY = 0;
const FREE = 0;
const LIVE = 1;
const OVER = 2;

export interface Translations {
  readonly size: number;
  /** Live ones that had to make room. */
  readonly evicted: number;
  /** Keys of all pairs; `find` tells where in it one begins. */
  readonly keys: Uint32Array;
  /**
   * The other key of a translated connection's flow. @returns where it begins in `keys`, or -1.
   *
   * @param words in which the key that is looked up begins at `at`.
   */
  find(words: Uint32Array, at: number): number;
  /** Whether what `find` returned is the key of the original tuple, and not the translated one's. */
  isOriginal(offset: number): boolean;
  /** Adds a pair; the original key stands first in `pair`. */
  add(pair: Uint32Array): void;
  /** The connection is over. */
  end(pair: Uint32Array, nowMs: number): void;
  /** Forgets what is over for long enough. */
  expire(nowMs: number): void;
  /** Live pairs of a namespace that are not added between these two are over. */
  beginRestating(netns: number): void;
  endRestating(netns: number, nowMs: number): void;
}

export interface TranslationsOptions {
  /** Most pairs; each takes about 130 bytes. */
  readonly max: number;
  /** How long a pair is found after its end; the default is longer than a flow without packets lasts. */
  readonly retainMs?: number;
}

export function createTranslations({ max, retainMs = 120_000 }: TranslationsOptions): Translations {
  const keys = new Uint32Array(max * PAIR_WORDS);
  // Load of a half at most: two references a pair.
  const capacity = 2 ** Math.ceil(Math.log2(Math.max(2, max) * 4));
  const mask = capacity - 1;
  /** 1 + 2 * pair + (1 for the translated key); EMPTY ends a probe. */
  const references = new Uint32Array(capacity);
  const states = new Uint8Array(max);
  const isStated = new Uint8Array(max);
  const endedMs = new Float64Array(max);
  /** The list of ended pairs, oldest first; element `max` is its head and tail. Free ones are chained by `after`. */
  const before = new Uint32Array(max + 1).fill(max);
  const after = new Uint32Array(max + 1).fill(max);
  let free = max;
  /** Pairs that were ever used, and the live one that makes room next. */
  let used = 0;
  let victim = 0;
  let size = 0;
  let evicted = 0;

  const keyAt = (reference: number): number => (reference - 1) * KEY_WORDS;

  /** Where in `references` a key is, or would be. */
  const slotOf = (words: Uint32Array, at: number): number => {
    let slot = hash(words, at) & mask;
    for (;;) {
      const reference = references[slot] as number;
      if (reference === EMPTY || equal(keys, keyAt(reference), words, at)) return slot;
      slot = (slot + 1) & mask;
    }
  };

  /** Takes a reference out and moves those behind it up, so that no probe ends too early. */
  const vacate = (slot: number): void => {
    let hole = slot;
    for (let at = (slot + 1) & mask; references[at] !== EMPTY; at = (at + 1) & mask) {
      const home = hash(keys, keyAt(references[at] as number)) & mask;
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      references[hole] = references[at] as number;
      hole = at;
    }
    references[hole] = EMPTY;
  };

  const unlink = (pair: number): void => {
    after[before[pair] as number] = after[pair] as number;
    before[after[pair] as number] = before[pair] as number;
  };

  const drop = (pair: number): void => {
    for (let side = 0; side < 2; side++) {
      const slot = slotOf(keys, pair * PAIR_WORDS + side * KEY_WORDS);
      // Both keys of a pair may be the same.
      if (references[slot] === 1 + 2 * pair + side) vacate(slot);
    }
    if (states[pair] === OVER) unlink(pair);
    states[pair] = FREE;
    after[pair] = free;
    free = pair;
    size--;
  };

  const finish = (pair: number, nowMs: number): void => {
    states[pair] = OVER;
    endedMs[pair] = nowMs;
    const last = before[max] as number;
    before[pair] = last;
    after[pair] = max;
    after[last] = pair;
    before[max] = pair;
  };

  const take = (): number => {
    if (free === max && used < max) return used++;
    if (free === max) {
      const oldest = after[max] as number;
      if (oldest !== max) drop(oldest);
      else {
        drop(victim);
        victim = (victim + 1) % max;
        evicted++;
      }
    }
    const pair = free;
    free = after[pair] as number;
    return pair;
  };

  const pairOf = (words: Uint32Array, at: number): number => {
    const reference = references[slotOf(words, at)] as number;
    return reference === EMPTY ? -1 : (reference - 1) >>> 1;
  };

  return {
    get size() {
      return size;
    },
    get evicted() {
      return evicted;
    },
    keys,
    find(words, at) {
      const reference = references[slotOf(words, at)] as number;
      return reference === EMPTY ? -1 : keyAt(((reference - 1) ^ 1) + 1);
    },
    isOriginal: (offset) => offset % PAIR_WORDS === 0,
    add(words) {
      const known = pairOf(words, 0);
      if (known >= 0 && states[known] === LIVE && holds(known, words)) {
        isStated[known] = 1;
        return;
      }
      // Tuples that are used again belong to the new connection.
      if (known >= 0) drop(known);
      const other = pairOf(words, KEY_WORDS);
      if (other >= 0) drop(other);
      const pair = take();
      for (let word = 0; word < PAIR_WORDS; word++) keys[pair * PAIR_WORDS + word] = words[word] as number;
      states[pair] = LIVE;
      isStated[pair] = 1;
      size++;
      for (let side = 0; side < 2; side++) references[slotOf(words, side * KEY_WORDS)] = 1 + 2 * pair + side;
    },
    end(words, nowMs) {
      const pair = pairOf(words, 0);
      if (pair >= 0 && states[pair] === LIVE && holds(pair, words)) finish(pair, nowMs);
    },
    expire(nowMs) {
      for (;;) {
        const oldest = after[max] as number;
        if (oldest === max || (endedMs[oldest] as number) + retainMs > nowMs) return;
        drop(oldest);
      }
    },
    beginRestating(netns) {
      for (let pair = 0; pair < used; pair++) if (netnsOf(pair) === netns) isStated[pair] = 0;
    },
    endRestating(netns, nowMs) {
      for (let pair = 0; pair < used; pair++)
        if (states[pair] === LIVE && !isStated[pair] && netnsOf(pair) === netns) finish(pair, nowMs);
    },
  };

  function holds(pair: number, words: Uint32Array): boolean {
    const at = pair * PAIR_WORDS;
    return equal(keys, at, words, 0) && equal(keys, at + KEY_WORDS, words, KEY_WORDS);
  }

  function netnsOf(pair: number): number {
    return (keys[pair * PAIR_WORDS + KEY_WORDS - 1] as number) & 0xffff;
  }
}

function equal(a: Uint32Array, atA: number, b: Uint32Array, atB: number): boolean {
  for (let word = 0; word < KEY_WORDS; word++) if (a[atA + word] !== b[atB + word]) return false;
  return true;
}

/** Murmur3's mixing over the words; ports and addresses of one host differ in few bits. */
function hash(words: Uint32Array, at: number): number {
  let h = 0;
  for (let word = 0; word < KEY_WORDS; word++) {
    h ^= Math.imul(words[at + word] as number, 0xcc9e2d51);
    h = Math.imul((h << 13) | (h >>> 19), 5) + 0xe6546b64;
  }
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  return h ^ (h >>> 13);
}
