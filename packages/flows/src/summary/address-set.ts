/**
 * A set of addresses in 1 MB, however many there are: a Bloom filter (B. Bloom 1970). What was added is always found;
 * of what was not, one in 10^9 is taken for known at ten thousand addresses, one in 200 at a million.
 */
const BITS = 2 ** 23;
const HASHES = 4;
/** From so many on, answers are called estimates: one in 3,000 is wrong. */
const EXACT_ENOUGH = 300_000;

export interface AddressSet {
  readonly isEstimate: boolean;
  add(bytes: Uint8Array): void;
  has(bytes: Uint8Array): boolean;
}

export function createAddressSet(): AddressSet {
  const bits = new Uint8Array(BITS / 8);
  let added = 0;
  const places = new Uint32Array(HASHES);
  const find = (bytes: Uint8Array): boolean => {
    let a = 0x811c9dc5;
    let b = 0x9e3779b9;
    for (const byte of bytes) {
      a = Math.imul(a ^ byte, 0x01000193);
      b = Math.imul(b + byte, 0x85ebca6b) ^ (b >>> 13);
    }
    a ^= a >>> 15;
    b |= 1;
    let isThere = true;
    for (let hash = 0; hash < HASHES; hash++) {
      const place = ((a + Math.imul(hash, b)) >>> 0) % BITS;
      places[hash] = place;
      if (((bits[place >> 3] as number) & (1 << (place & 7))) === 0) isThere = false;
    }
    return isThere;
  };
  return {
    get isEstimate() {
      return added > EXACT_ENOUGH;
    },
    add(bytes) {
      if (find(bytes)) return;
      added++;
      for (const place of places) bits[place >> 3] = (bits[place >> 3] as number) | (1 << (place & 7));
    },
    has: find,
  };
}
