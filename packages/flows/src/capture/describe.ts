/** A flow in its kernel form → a `Flow`, and the filters that need not make one. */
import { formatAddress } from "../address.ts";
import { type AddressPrefix, inPrefix } from "../filter.ts";
import type { Flow, FlowProcess } from "../flow.ts";
import { flowFlag } from "../generated/layout.ts";
import { nothingLearned } from "../learned.ts";
import { isEcho, protocolName, protocolNumbers, tcpFlagNames } from "../protocols.ts";
import { namespaceOf, openedBySecond, protocolOf, type Raw, u64, word } from "./table.ts";

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

export function describe(raw: Raw, active: boolean, names: Names): Flow {
  const { words, key, flow } = raw;
  const at = (offset: number): number => words[flow + offset] as number;
  const flags = at(word.flags);
  const source = openedBySecond(flags) ? 1 : 0;
  const destination = 1 - source;
  const protocol = protocolOf(words[key + word.kind] as number);
  const namespace = namespaceOf(words[key + word.kind] as number);
  const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
  const ports = words[key + word.port] as number;
  const port = (side: number): number => (isIcmp ? 0 : side === 0 ? ports & 0xffff : ports >>> 16);
  const count = (offset: number, side: number): number => u64(words, flow + offset + 2 * side);
  const cookie = (side: number): string | null => {
    const value = (BigInt(at(word.cookie + 2 * side + 1)) << 32n) | BigInt(at(word.cookie + 2 * side));
    return value === 0n ? null : value.toString();
  };
  const process = (side: number): FlowProcess | null =>
    names.process(at(word.process + 2 * side), at(word.process + 2 * side + 1));
  const time = (monotonicNs: number): string => new Date(names.wallMs(monotonicNs)).toISOString();
  const icmp = at(word.icmp) & 0xffff;
  const [own, peer] = [process(source), process(destination)];
  const start = time(u64(words, flow + word.firstNs));
  const end = time(names.lastNs(at(word.last)));
  return {
    id: String(u64(words, flow + word.id)),
    // Closed, though its very last packets may still come.
    state: active && !(flags & flowFlag.closed) ? "active" : "ended",
    start,
    end: end < start ? start : end,
    source: { ip: formatAddress(addressBytes(raw, source)), port: port(source), name: null },
    destination: { ip: formatAddress(addressBytes(raw, destination)), port: port(destination), name: null },
    protocol: protocolName(protocol),
    icmp: isIcmp
      ? { type: icmp >>> 8, code: icmp & 0xff, id: isEcho(protocol, icmp >>> 8) ? ports & 0xffff : 0 }
      : null,
    direction: directionOf(flags, source),
    place: placeOf(flags),
    netns: names.namespaceInode(namespace),
    interface: names.interfaceName(namespace, at(word.ifindex)),
    verdict: "forwarded",
    bytes: { sent: count(word.bytes, source), received: count(word.bytes, destination) },
    packets: { sent: count(word.packets, source), received: count(word.packets, destination) },
    tcpFlags: tcpFlagNames(((flags >>> 8) | (flags >>> 16)) & 0xff),
    cookie: own === null ? cookie(destination) : cookie(source),
    process: own ?? peer,
    peerProcess: own === null ? null : peer,
    ...nothingLearned,
  };
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
