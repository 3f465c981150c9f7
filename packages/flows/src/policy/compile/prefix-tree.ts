import type { Prefix } from "../model.ts";

/** Prefixes nest or are disjoint; in this order each stands before all that lie in it. */
export function comparePrefixes(a: Prefix, b: Prefix): number {
  return Buffer.compare(a.bytes, b.bytes) || a.bits - b.bits;
}

/** Whether all addresses of `inner` are in `outer`. */
export function covers(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && isIn(outer, inner.bytes);
}

/** @param address 16 bytes. */
export function isIn({ bytes, bits }: Prefix, address: Uint8Array): boolean {
  const whole = bits >> 3;
  for (let index = 0; index < whole; index++) if (bytes[index] !== address[index]) return false;
  const rest = bits & 7;
  return (
    rest === 0 || (((bytes[whole] as number) ^ (address[whole] as number)) & (0xff00 >> rest) & 0xff) === 0
  );
}

/**
 * @param sorted by `comparePrefixes`, each once.
 * @returns of each the index of the longest other one that it lies in, -1 where there is none.
 */
export function parentsOf(sorted: readonly Prefix[]): Int32Array {
  const parents = new Int32Array(sorted.length);
  for (const [index, prefix] of sorted.entries()) {
    let parent = index - 1;
    while (parent >= 0 && !covers(sorted[parent] as Prefix, prefix)) parent = parents[parent] as number;
    parents[index] = parent;
  }
  return parents;
}

/** The index of the longest prefix that an address is in, -1 where there is none. O(log n + depth). */
export function longestMatch(sorted: readonly Prefix[], parents: Int32Array, address: Uint8Array): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (Buffer.compare((sorted[middle] as Prefix).bytes, address) <= 0) low = middle + 1;
    else high = middle;
  }
  let found = low - 1;
  while (found >= 0 && !isIn(sorted[found] as Prefix, address)) found = parents[found] as number;
  return found;
}
