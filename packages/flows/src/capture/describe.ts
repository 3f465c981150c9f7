/** What the numbers of a flow in its kernel form stand for, and the filters that need not describe it. */
import { type AddressPrefix, inPrefix } from "../filter.ts";
import type { Flow, FlowProcess } from "../flow.ts";
import { flowFlag } from "../generated/layout.ts";
import { protocolNumbers } from "../protocols.ts";
import { protocolOf, type Raw, u64, word } from "./table.ts";

export type Place = Flow["place"];

/** What the numbers in a flow stand for. */
export interface Names {
  /** A flow's `last` → CLOCK_MONOTONIC nanoseconds. */
  lastNs(last: number): number;
  /** CLOCK_MONOTONIC nanoseconds → Unix milliseconds. */
  wallMs(monotonicNs: number): number;
  namespaceInode(number: number): number;
  interfaceName(namespace: number, index: number): string;
  process(low: number, high: number): FlowProcess | null;
  /** The rule of a verdict as records name it; undefined for none. */
  rule(verdict: number): string | undefined;
}

export function placeOf(flags: number): Place {
  if (flags & flowFlag.loopback) return "loopback";
  return flags & flowFlag.forwarded ? "forwarded" : "local";
}

/** Where packets that `side` sends are counted: what this host sends leaves, all else arrives. */
export function directionOf(flags: number, side: 0 | 1): "ingress" | "egress" {
  if (flags & flowFlag.loopback) return "egress";
  if (flags & flowFlag.forwarded) return "ingress";
  const first = flags & flowFlag.firstSender ? 1 : 0;
  return ((flags & flowFlag.egressFirst) !== 0) === (side === first) ? "egress" : "ingress";
}

function addressBytes({ words, key }: Raw, side: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + (key + 4 * side) * 4, 16);
}

export interface RawFilter {
  readonly protocol?: number;
  readonly port?: number;
  readonly prefix?: AddressPrefix;
  readonly sinceMs?: number;
  readonly untilMs?: number;
}

/** Whether a flow passes all filters but that of the process. */
export function passes(raw: Raw, filter: RawFilter, names: Names): boolean {
  const { words, key, flow } = raw;
  const protocol = protocolOf(words[key + word.kind] as number);
  if (filter.protocol !== undefined && protocol !== filter.protocol) return false;
  if (filter.port !== undefined) {
    const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
    const ports = isIcmp ? 0 : (words[key + word.port] as number);
    if ((ports & 0xffff) !== filter.port && ports >>> 16 !== filter.port) return false;
  }
  if (
    filter.sinceMs !== undefined &&
    names.wallMs(names.lastNs(words[flow + word.last] as number)) < filter.sinceMs
  )
    return false;
  if (filter.untilMs !== undefined && names.wallMs(u64(words, flow + word.firstNs)) >= filter.untilMs)
    return false;
  if (filter.prefix === undefined) return true;
  return inPrefix(addressBytes(raw, 0), filter.prefix) || inPrefix(addressBytes(raw, 1), filter.prefix);
}
