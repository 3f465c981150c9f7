import type { Random } from "@x0tta6bl4/core";
import { isMappedIPv4, parseAddress } from "../../address.ts";
import type { PeerSelector, PolicySet, Prefix } from "../model.ts";
import { one } from "./choose.ts";

const bases = [
  "10.0.0.0",
  "10.0.0.128",
  "10.1.0.0",
  "192.0.2.0",
  "2001:db8::",
  "2001:db8:0:1::",
  "fd00::",
].map((text) => parseAddress(text) as Uint8Array);
const bitsOfIPv4 = [0, 1, 8, 15, 16, 24, 25, 30, 31, 32];
const bitsOfIPv6 = [0, 1, 32, 48, 63, 64, 96, 120, 127, 128];

/** One of some hundred. */
export function anAddress(random: Random): Uint8Array {
  const bytes = Uint8Array.from(one(random, bases));
  const low = random.below(4) === 0 ? random.below(256) : random.below(4);
  bytes[15] = (bytes[15] as number) ^ low;
  return bytes;
}

export function aPrefix(random: Random): Prefix {
  const address = anAddress(random);
  const bits = isMappedIPv4(address) ? 96 + one(random, bitsOfIPv4) : one(random, bitsOfIPv6);
  return cut(address, bits);
}

/** One that lies in another. */
export function aPrefixIn(random: Random, { bytes, bits }: Prefix): Prefix {
  const address = random.below(2) === 0 ? anAddress(random) : last({ bytes, bits });
  const within = mix(bytes, address, bits);
  return cut(within, Math.min(128, bits + one(random, [1, 1, 2, 8, 24, 64])));
}

/** All prefixes that rules name, exceptions too. */
export function prefixesIn({ policies }: PolicySet): Prefix[] {
  const selectors: PeerSelector[] = policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ ingress, egress }) => [...(ingress?.rules ?? []), ...(egress?.rules ?? [])])
    .flatMap(({ peers }) => peers ?? []);
  return selectors.flatMap((selector) =>
    selector.kind === "cidr" ? [selector.prefix, ...selector.except] : [],
  );
}

/** The first and last address of a prefix, and those beside it. */
export function edgesOf(prefix: Prefix): Uint8Array[] {
  return [prefix.bytes, last(prefix), step(prefix.bytes, -1), step(last(prefix), 1)];
}

/** The leading bits of one address, the rest of another. */
function mix(head: Uint8Array, tail: Uint8Array, bits: number): Uint8Array {
  return head.map((byte, index) => {
    const mask = 0xff & (0xff00 >> Math.max(0, Math.min(8, bits - 8 * index)));
    return (byte & mask) | ((tail[index] as number) & ~mask);
  });
}

function cut(address: Uint8Array, bits: number): Prefix {
  return { bytes: mix(address, new Uint8Array(16), bits), bits };
}

function last({ bytes, bits }: Prefix): Uint8Array {
  return mix(bytes, new Uint8Array(16).fill(0xff), bits);
}

function step(address: Uint8Array, by: 1 | -1): Uint8Array {
  const next = Uint8Array.from(address);
  for (let index = 15; index >= 0; index--) {
    next[index] = (next[index] as number) + by;
    if (next[index] !== (by === 1 ? 0 : 0xff)) break;
  }
  return next;
}
