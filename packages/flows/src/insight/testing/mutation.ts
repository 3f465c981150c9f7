/** Damaged bytes for the tests of parsers. */
import type { Random } from "@x0tta6bl4/core";
import { bytesOf } from "../../testing/frames.ts";

/** A copy with some bytes changed, lengths among them, and sometimes cut, repeated or mixed with another one. */
export function mutated(random: Random, samples: readonly Uint8Array[]): Uint8Array {
  const sample = (): Uint8Array => samples[random.below(samples.length)] as Uint8Array;
  const from = sample();
  const tail = random.below(8) === 0 ? sample() : from;
  const cut = random.below(3) === 0 ? random.below(from.length + 1) : from.length;
  const bytes = bytesOf(from.subarray(0, cut), tail.subarray(cut));
  for (let count = random.below(6); count > 0 && bytes.length > 0; count--) {
    const edges = [0, 1, 0x3f, 0x7f, 0x80, 0xc0, 0xff];
    const byte = random.below(2) === 0 ? (edges[random.below(edges.length)] as number) : random.below(256);
    bytes[random.below(bytes.length)] = byte;
  }
  return random.below(4) === 0 ? bytes.slice(0, random.below(bytes.length + 1)) : bytes;
}

/** What may stand in anything that was made of a stranger's bytes: printable ASCII, and the mark of a cut. */
export const shownText = /^[\x21-\x7e…]*$/;
