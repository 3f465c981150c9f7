/**
 * Keys of a few 32-bit words → slots, in memory that never grows: open addressing with linear probing, and the slot
 * that was used longest ago goes when all are taken. No allocation a call. What belongs to a key lies in arrays of
 * the caller, by slot.
 */
export interface KeyedLru {
  readonly size: number;
  /** @returns the key's slot, or -1. Does not count as use. */
  find(words: Uint32Array, at: number): number;
  /**
   * Makes the key the most recently used one, and finds it a slot if it has none (`onEvict` was called if that was
   * another's).
   *
   * @returns the slot, or its complement (~slot) if the key is new.
   */
  claim(words: Uint32Array, at: number): number;
  /** Makes it the most recently used. */
  touch(slot: number): void;
  remove(slot: number): void;
  /** The slot used longest ago, -1 when empty. */
  oldest(): number;
}

/** @param seed of the hash: keys come from strangers, who shall not know which ones collide. */
export function createKeyedLru(options: {
  readonly capacity: number;
  readonly keyWords: number;
  readonly seed: number;
  readonly onEvict?: (slot: number) => void;
}): KeyedLru {
  const { capacity, keyWords, seed, onEvict } = options;
  const bits = Math.max(4, Math.ceil(Math.log2(capacity * 1.5)));
  const mask = (1 << bits) - 1;
  // Slot + 1; 0 is free. At most two thirds full.
  const places = new Uint32Array(1 << bits);
  const keys = new Uint32Array(capacity * keyWords);
  const hashes = new Uint32Array(capacity);
  // A ring through `capacity`, whose next is the most recent and whose previous the oldest.
  const next = new Uint32Array(capacity + 1).fill(capacity, capacity);
  const previous = new Uint32Array(capacity + 1).fill(capacity, capacity);
  // A stack of slots that `remove` freed; then those never used.
  const free = new Uint32Array(capacity);
  let freed = 0;
  let fresh = 0;
  let size = 0;

  const hashOf = (words: Uint32Array, at: number): number => {
    let hash = seed;
    for (let index = 0; index < keyWords; index++) {
      hash = Math.imul(hash ^ (words[at + index] as number), 0xcc9e2d51);
      hash ^= hash >>> 15;
    }
    hash = Math.imul(hash, 0x85ebca6b);
    return (hash ^ (hash >>> 13)) >>> 0;
  };

  const isKey = (slot: number, words: Uint32Array, at: number): boolean => {
    for (let index = 0, key = slot * keyWords; index < keyWords; index++)
      if (keys[key + index] !== words[at + index]) return false;
    return true;
  };

  const unlink = (slot: number): void => {
    const before = previous[slot] as number;
    const after = next[slot] as number;
    next[before] = after;
    previous[after] = before;
  };

  const linkFirst = (slot: number): void => {
    const after = next[capacity] as number;
    next[slot] = after;
    previous[slot] = capacity;
    previous[after] = slot;
    next[capacity] = slot;
  };

  /** Moves later entries back (Knuth, TAOCP 3, 6.4, algorithm R), so that look-ups never meet tombstones. */
  const takeOut = (slot: number): void => {
    let hole = (hashes[slot] as number) & mask;
    while (places[hole] !== slot + 1) hole = (hole + 1) & mask;
    for (let at = (hole + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
      const wanted = (hashes[(places[at] as number) - 1] as number) & mask;
      if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
      places[hole] = places[at] as number;
      hole = at;
    }
    places[hole] = 0;
    unlink(slot);
    size--;
  };

  const oldest = (): number => (size === 0 ? -1 : (previous[capacity] as number));

  const search = (hash: number, words: Uint32Array, at: number): number => {
    for (let place = hash & mask; ; place = (place + 1) & mask) {
      const slot = (places[place] as number) - 1;
      if (slot < 0 || (hashes[slot] === hash && isKey(slot, words, at))) return slot;
    }
  };

  const touch = (slot: number): void => {
    if (next[capacity] === slot) return;
    unlink(slot);
    linkFirst(slot);
  };

  const slotToFill = (): number => {
    if (freed > 0) return free[--freed] as number;
    if (fresh < capacity) return fresh++;
    const slot = oldest();
    onEvict?.(slot);
    takeOut(slot);
    return slot;
  };

  return {
    get size() {
      return size;
    },
    find: (words, at) => search(hashOf(words, at), words, at),
    claim(words, at) {
      const hash = hashOf(words, at);
      const found = search(hash, words, at);
      if (found >= 0) {
        touch(found);
        return found;
      }
      const slot = slotToFill();
      hashes[slot] = hash;
      for (let index = 0; index < keyWords; index++)
        keys[slot * keyWords + index] = words[at + index] as number;
      let place = hash & mask;
      while (places[place] !== 0) place = (place + 1) & mask;
      places[place] = slot + 1;
      linkFirst(slot);
      size++;
      return ~slot;
    },
    touch,
    remove(slot) {
      takeOut(slot);
      free[freed++] = slot;
    },
    oldest,
  };
}
