/**
 * Translated connections. On a router one connection is two flows of the kernel's map: packets as the opener sends
 * them, under the original tuple, and the answers, under the translated one. Here the second is hidden and its
 * counters are added to the first, which then carries both tuples. Where this host translates its own connections,
 * only one of the two is ever on the wire; it carries the other as its translation.
 */
import { formatAddress } from "../address.ts";
import { flowFlag } from "../generated/layout.ts";
import type { Translated } from "./encode.ts";
import { KEY_WORDS, openedBySecond, type Raw, u64, word } from "./table.ts";

const NONE = -1;
const FIN = 0x01;
const RST = 0x04;
/** Packets and bytes of both sides. */
const COUNTER_WORDS = 8;

export interface Joins {
  /** Shown only as a part of another flow, or not yet. */
  isHidden(slot: number): boolean;
  /** Hides a flow until `reveal`. */
  hide(slot: number): void;
  /** @returns whether it was hidden so; it is not any more. */
  reveal(slot: number): boolean;
  /** The other flow of the connection, or -1. */
  partnerOf(slot: number): number;
  translatedOf(slot: number): Translated | undefined;
  /** The two flows of one connection; the first has the original tuple. */
  join(original: number, translated: number): void;
  /** A flow whose connection has another tuple too, of which no packet was seen. */
  note(slot: number, otherKey: Uint32Array, at: number): void;
  /** Adds to a copy of a flow what its hidden part counted. */
  complete(slot: number, raw: Raw): Raw;
  /** The slot has a new flow. */
  clear(slot: number): void;
  readonly size: number;
}

/** @param rawOf a copy of a flow's words; the next call overwrites it. */
export function createJoins(rawOf: (slot: number) => Raw): Joins {
  const partners = new Map<number, number>();
  const hidden = new Set<number>();
  const translations = new Map<number, Translated>();
  /** Of hidden parts whose slot was taken while the other one lives: their last figures. */
  const leftBehind = new Map<number, Uint32Array>();

  const wordsOf = (slot: number): Uint32Array => {
    const { words } = rawOf(slot);
    return words.slice();
  };

  const joins: Joins = {
    isHidden: (slot) => hidden.has(slot),
    hide: (slot) => void hidden.add(slot),
    reveal: (slot) => !partners.has(slot) && hidden.delete(slot),
    partnerOf: (slot) => partners.get(slot) ?? NONE,
    translatedOf: (slot) => translations.get(slot),
    join(original, translated) {
      if (original === translated || partners.has(original) || partners.has(translated)) return;
      partners.set(original, translated);
      partners.set(translated, original);
      hidden.add(translated);
      const other = wordsOf(translated);
      const flags = other[KEY_WORDS + word.flags] as number;
      translations.delete(translated);
      translations.set(original, tupleOf(other, 0, openedBySecond(flags) ? 1 : 0));
    },
    note(slot, otherKey, at) {
      if (partners.has(slot)) return;
      const { words, key, flow } = rawOf(slot);
      const opener = openedBySecond(words[flow + word.flags] as number) ? 1 : 0;
      // What one end keeps tells which is which: the opener's address is the source's, its peer's the destination's.
      const isSame = (side: number, otherSide: number): boolean =>
        [0, 1, 2, 3].every((index) => words[key + 4 * side + index] === otherKey[at + 4 * otherSide + index]);
      const isSecond = isSame(opener, 1) || isSame(1 - opener, 0);
      translations.set(slot, tupleOf(otherKey, at, isSecond ? 1 : 0));
    },
    complete(slot, raw) {
      const partner = partners.get(slot);
      const other = leftBehind.get(slot) ?? (partner === undefined ? undefined : wordsOf(partner));
      if (other === undefined) return raw;
      // `wordsOf` may have overwritten it.
      const mine = leftBehind.has(slot) ? raw : rawOf(slot);
      addTo(mine, other);
      return mine;
    },
    clear(slot) {
      const partner = partners.get(slot);
      if (partner !== undefined) {
        if (hidden.has(slot)) leftBehind.set(partner, wordsOf(slot));
        else hidden.delete(partner);
        partners.delete(partner);
        partners.delete(slot);
      }
      hidden.delete(slot);
      leftBehind.delete(slot);
      translations.delete(slot);
    },
    get size() {
      return translations.size;
    },
  };
  return joins;
}

/** Counters, TCP flags and end of `other` into `raw`, opener to opener. */
function addTo({ words, flow }: Raw, other: Uint32Array): void {
  const flags = words[flow + word.flags] as number;
  const otherFlags = other[KEY_WORDS + word.flags] as number;
  const isSwapped = openedBySecond(flags) !== openedBySecond(otherFlags);
  for (let index = 0; index < COUNTER_WORDS; index += 2) {
    const from = KEY_WORDS + word.packets + (isSwapped ? index ^ 2 : index);
    const sum = u64(words, flow + word.packets + index) + u64(other, from);
    words[flow + word.packets + index] = sum >>> 0;
    words[flow + word.packets + index + 1] = Math.floor(sum / 2 ** 32);
  }
  const tcp = (side: number): number => (otherFlags >>> (8 + 8 * (isSwapped ? 1 - side : side))) & 0xff;
  let all = flags | (tcp(0) << 8) | (tcp(1) << 16);
  const [first, second] = [(all >>> 8) & 0xff, (all >>> 16) & 0xff];
  if ((first | second) & RST || first & second & FIN) all |= flowFlag.closed;
  words[flow + word.flags] = all;
  const last = other[KEY_WORDS + word.last] as number;
  if (((last - (words[flow + word.last] as number)) | 0) > 0) words[flow + word.last] = last;
}

function tupleOf(key: Uint32Array, at: number, source: 0 | 1): Translated {
  const address = (side: number): string =>
    formatAddress(new Uint8Array(key.buffer, key.byteOffset + (at + 4 * side) * 4, 16).slice());
  const ports = key[at + word.port] as number;
  return {
    source: address(source),
    destination: address(1 - source),
    ports: source === 0 ? ports : (ports >>> 16) | (ports << 16),
  };
}
