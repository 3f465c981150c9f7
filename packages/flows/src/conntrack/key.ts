/** The key under which the kernel side keeps a tuple's flow: `struct flow_key` in bpf/types.h as 32-bit words. */
import { flowKeyLayout } from "../generated/layout.ts";
import type { Tuple } from "./entry.ts";

export const KEY_WORDS: number = flowKeyLayout.size / 4;

/**
 * Writes the key of a tuple's flow to `words[at]` and the nine behind it; both directions have the same.
 *
 * @param netns our number of the namespace.
 */
export function writeFlowKey(tuple: Tuple, netns: number, words: Uint32Array, at: number): void {
  const { addresses, ports, protocol, isEcho } = tuple;
  const source = ports[0] as number;
  const destination = ports[1] as number;
  const swapped = secondIsLower(addresses, source, destination);
  for (let word = 0; word < 8; word++) words[at + word] = wordAt(addresses, 4 * (swapped ? word ^ 4 : word));
  words[at + 8] = swapped ? destination | (source << 16) : source | (destination << 16);
  words[at + 9] = netns | (protocol << 16) | ((isEcho ? 1 : 0) << 24);
}

/** `second_is_lower` in bpf/packet.h: addresses as two little-endian 64-bit words, then the ports. */
function secondIsLower(addresses: Uint8Array, source: number, destination: number): boolean {
  for (const at of [4, 0, 12, 8]) {
    const first = wordAt(addresses, at);
    const second = wordAt(addresses, 16 + at);
    if (first !== second) return second < first;
  }
  return destination < source;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) |
      ((bytes[at + 1] as number) << 8) |
      ((bytes[at + 2] as number) << 16) |
      ((bytes[at + 3] as number) << 24)) >>>
    0
  );
}
