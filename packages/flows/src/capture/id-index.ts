/**
 * Flow id → slot, by open addressing with linear probing: a `Map` would make each 64-bit id a heap number.
 * Deletion moves later entries back (Knuth, TAOCP 3, 6.4, algorithm R), so look-ups never meet tombstones.
 */
export interface IdIndex {
  readonly size: number;
  /** @returns the slot, or -1. */
  get(low: number, high: number): number;
  /** The id must not be there yet. */
  add(low: number, high: number, slot: number): void;
  delete(low: number, high: number): void;
}

const ENTRY = 3;

export function createIdIndex(): IdIndex {
  let bits = 12;
  let mask = (1 << bits) - 1;
  // low, high, slot + 1; 0 in the last is free.
  let entries = new Uint32Array(ENTRY << bits);
  let size = 0;

  const home = (low: number, high: number): number =>
    Math.imul(low ^ Math.imul(high, 0x85ebca6b), 0x9e3779b1) >>> (32 - bits);

  const place = (low: number, high: number, slotPlusOne: number): void => {
    let at = home(low, high);
    while (entries[at * ENTRY + 2] !== 0) at = (at + 1) & mask;
    entries[at * ENTRY] = low;
    entries[at * ENTRY + 1] = high;
    entries[at * ENTRY + 2] = slotPlusOne;
  };

  const find = (low: number, high: number): number => {
    let at = home(low, high);
    for (;;) {
      const slot = entries[at * ENTRY + 2];
      if (slot === 0) return -1;
      if (entries[at * ENTRY] === low && entries[at * ENTRY + 1] === high) return at;
      at = (at + 1) & mask;
    }
  };

  return {
    get size() {
      return size;
    },
    get(low, high) {
      const at = find(low, high);
      return at < 0 ? -1 : (entries[at * ENTRY + 2] as number) - 1;
    },
    add(low, high, slot) {
      if (++size * 2 > mask) {
        const before = entries;
        bits++;
        mask = (1 << bits) - 1;
        entries = new Uint32Array(ENTRY << bits);
        for (let at = 0; at < before.length; at += ENTRY)
          if (before[at + 2] !== 0)
            place(before[at] as number, before[at + 1] as number, before[at + 2] as number);
      }
      place(low, high, slot + 1);
    },
    delete(low, high) {
      let hole = find(low, high);
      if (hole < 0) return;
      size--;
      for (let at = (hole + 1) & mask; entries[at * ENTRY + 2] !== 0; at = (at + 1) & mask) {
        const wanted = home(entries[at * ENTRY] as number, entries[at * ENTRY + 1] as number);
        // Stays where it is if its home lies behind the hole.
        if (((at - wanted) & mask) < ((at - hole) & mask)) continue;
        entries.copyWithin(hole * ENTRY, at * ENTRY, at * ENTRY + ENTRY);
        hole = at;
      }
      entries[hole * ENTRY + 2] = 0;
    },
  };
}
