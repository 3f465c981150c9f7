/**
 * What rows point to while they wait to be written: addresses, strings, processes, translations, each once. Shared by
 * all rows that wait, so that a row can move from one block to another; cleared when it has grown large, after all
 * of them are written.
 */
import type { FlowProcess } from "../flow.ts";
import type { RecordBatch } from "../recording/record.ts";

export type Translation = RecordBatch["translations"][number];

/** So many addresses, or strings, … at most: 1 MB of addresses, and no longer than a flood of new ones takes to write. */
const MOST = 65_536;

export interface Dictionaries {
  readonly addresses: AddressTable;
  readonly strings: readonly string[];
  readonly processes: readonly (FlowProcess | null)[];
  readonly translations: readonly Translation[];
  /** Whether the next batch may find no room. */
  readonly isFull: boolean;
  /** Whose indexes come next. */
  begin(batch: RecordBatch): void;
  address(words: Uint32Array, at: number): number;
  /** Indexes of the batch → indexes here; 0 is "", null, nothing. */
  string(index: number): number;
  process(index: number): number;
  translation(index: number): number;
  clear(): void;
}

export function createDictionaries(): Dictionaries {
  const addresses = createAddressTable();
  const strings = interned<string>("", (text) => text);
  const processes = interned<FlowProcess | null>(null, processKey);
  const translations = interned<Translation>(
    { source: "", destination: "" },
    ({ source, destination }) => `${source} ${destination}`,
  );
  return {
    addresses,
    strings: strings.values,
    processes: processes.values,
    translations: translations.values,
    get isFull() {
      return [
        addresses.count,
        strings.values.length,
        processes.values.length,
        translations.values.length,
      ].some((count) => count > MOST / 2);
    },
    begin(batch) {
      strings.begin(batch.strings);
      processes.begin(batch.processes);
      translations.begin(batch.translations);
    },
    address: (words, at) => addresses.indexOf(words, at),
    string: (index) => strings.indexOf(index),
    process: (index) => processes.indexOf(index),
    translation: (index) => translations.indexOf(index),
    clear() {
      addresses.clear();
      for (const each of [strings, processes, translations]) each.clear();
    },
  };
}

function processKey(process: FlowProcess | null): string {
  if (process === null) return "";
  const { pid, comm, executable, cgroup, unit, container } = process;
  return JSON.stringify([pid, comm, executable, cgroup, unit, container]);
}

interface Interned<T> {
  readonly values: T[];
  begin(batch: readonly T[]): void;
  indexOf(index: number): number;
  clear(): void;
}

/** @param none what index 0 stands for, here as in each batch. */
function interned<T>(none: T, keyOf: (value: T) => string): Interned<T> {
  const values = [none];
  const indexes = new Map<string, number>();
  let batch: readonly T[] = [];
  /** Index of the batch → index here + 1; a batch names each value once, and most are used often. */
  let known = new Uint32Array(0);
  return {
    values,
    begin(next) {
      batch = next;
      known = new Uint32Array(next.length);
    },
    indexOf(index) {
      if (index === 0) return 0;
      const before = known[index] as number;
      if (before !== 0) return before - 1;
      const value = batch[index] as T;
      const key = keyOf(value);
      let at = indexes.get(key);
      if (at === undefined) {
        at = values.push(value) - 1;
        indexes.set(key, at);
      }
      known[index] = at + 1;
      return at;
    },
    clear() {
      values.length = 1;
      indexes.clear();
      known.fill(0);
    },
  };
}

export interface AddressTable {
  readonly count: number;
  /** 4 words an address. */
  readonly words: Uint32Array;
  indexOf(words: Uint32Array, at: number): number;
  clear(): void;
}

/** Open addressing with linear probing: a `Map` would need a string for each look-up. */
export function createAddressTable(): AddressTable {
  let capacity = 4096;
  let places = new Uint32Array(2 * capacity);
  let table = new Uint32Array(4 * capacity);
  let count = 0;
  const home = (a: number, b: number, c: number, d: number): number => {
    let hash = a ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ Math.imul(d, 0x27d4eb2f);
    // Multiplying carries bits upwards only, and hosts of a network differ in the highest: they must come down.
    hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
    hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
    return (hash ^ (hash >>> 16)) & (places.length - 1);
  };
  const place = (index: number): void => {
    const at = 4 * index;
    let slot = home(
      table[at] as number,
      table[at + 1] as number,
      table[at + 2] as number,
      table[at + 3] as number,
    );
    while (places[slot] !== 0) slot = (slot + 1) & (places.length - 1);
    places[slot] = index + 1;
  };
  const grow = (): void => {
    capacity *= 2;
    const larger = new Uint32Array(4 * capacity);
    larger.set(table);
    table = larger;
    places = new Uint32Array(2 * capacity);
    for (let index = 0; index < count; index++) place(index);
  };
  return {
    get count() {
      return count;
    },
    get words() {
      return table;
    },
    indexOf(words, at) {
      const a = words[at] as number;
      const b = words[at + 1] as number;
      const c = words[at + 2] as number;
      const d = words[at + 3] as number;
      for (let slot = home(a, b, c, d); ; slot = (slot + 1) & (places.length - 1)) {
        const index = (places[slot] as number) - 1;
        if (index < 0) break;
        const from = 4 * index;
        if (table[from] === a && table[from + 1] === b && table[from + 2] === c && table[from + 3] === d)
          return index;
      }
      if (count === capacity) grow();
      table.set([a, b, c, d], 4 * count);
      place(count);
      return count++;
    },
    clear() {
      places.fill(0);
      count = 0;
    },
  };
}
