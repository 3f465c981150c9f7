/**
 * Flow id → slot, by open addressing with linear probing: a `Map` would make each 64-bit id a heap number, and stop
 * for tens of milliseconds when it grows. Deletion moves later entries back (Knuth, TAOCP 3, 6.4, algorithm R), so
 * that look-ups never meet tombstones.
 */
export interface IdIndex {
  readonly size: number;
  /** @returns the slot, or -1. */
  get(low: number, high: number): number;
  /** Neither the id nor the slot may be there yet. */
  add(low: number, high: number, slot: number): void;
  delete(low: number, high: number): void;
}

/** @param capacity slots are numbers below it. */
export function createIdIndex(capacity: number): IdIndex {
  const bits = Math.max(4, Math.ceil(Math.log2(capacity * 1.5)));
  const mask = (1 << bits) - 1;
  // Slot + 1; 0 is free. At most two thirds full.
  const places = new Uint32Array(1 << bits);
  const lows = new Uint32Array(capacity);
  const highs = new Uint32Array(capacity);
  let size = 0;

  const home = (low: number, high: number): number =>
    Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> (32 - bits);

  const find = (low: number, high: number): number => {
    for (let at = home(low, high); ; at = (at + 1) & mask) {
      const slot = (places[at] as number) - 1;
      if (slot < 0) return -1;
      if (lows[slot] === low && highs[slot] === high) return at;
    }
  };

  return {
    get size() {
      return size;
    },
    get(low, high) {
      const at = find(low, high);
      return at < 0 ? -1 : (places[at] as number) - 1;
    },
    add(low, high, slot) {
      let at = home(low, high);
      while (places[at] !== 0) at = (at + 1) & mask;
      places[at] = slot + 1;
      lows[slot] = low;
      highs[slot] = high;
      size++;
    },
    delete(low, high) {
      let hole = find(low, high);
      if (hole < 0) return;
      size--;
      for (let at = (hole + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
        const slot = (places[at] as number) - 1;
        const wanted = home(lows[slot] as number, highs[slot] as number);
        // Stays where it is if its home lies behind the hole.
        if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
        places[hole] = places[at] as number;
        hole = at;
      }
      places[hole] = 0;
    },
  };
}
