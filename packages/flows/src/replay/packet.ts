/**
 * What flow accounting needs of a captured frame. This is also the oracle of the kernel programs: both must
 * agree on every field for every frame, so each rule on malformed and cut frames is written down here.
 *
 * Sources: RFC 791, 8200, 4302 (AH), 9293, 768, 792, 3828, 4443, 9260; LINKTYPE_* of the tcpdump group; IEEE 802.1Q.
 *
 * - Bytes are layer-3 bytes: IPv4's total length, IPv6's payload length + 40, at most what the frame had on the
 *   wire (`originalLength`) behind its link header; padding of short frames does not count. Where segmentation
 *   offload or a jumbogram leaves the field 0, they are what the frame had. IPv6's 0 with "no next header" is 40.
 * - No packet: a link header that is cut, has a fifth tag, is not IP or of another version than the IP header; an IP
 *   header whose fixed part is cut, or whose length is below 20, above the total length or above the frame.
 * - A header is read only inside both the captured bytes and the IP length. Ports need their 4 bytes, TCP's rest
 *   14, ICMP's type and code 2 and an echo's id 6; what is not there is 0, `tcp` and `icmp` are null.
 * - An extension header that is cut, or the ninth, ends the chain: its own number is then the protocol.
 */
import { isEcho, protocolNumbers } from "../protocols.ts";

export interface Packet {
  /** 16 bytes, IPv4 as `::ffff:a.b.c.d`. */
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  /** Behind IPv6's extension headers; AH counts as one in IPv6 only. */
  readonly protocol: number;
  /** TCP, UDP, UDP-Lite and SCTP; 0 for others and for fragments after the first. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Layer-3 bytes on the wire. */
  readonly bytes: number;
  readonly tcp: TcpHeader | null;
  readonly icmp: IcmpHeader | null;
  /** Null for whole datagrams, atomic fragments (RFC 6946) included. */
  readonly fragment: Fragment | null;
  /** VLAN ids, outermost first; those that the capturing kernel stripped are not in the frame. */
  readonly vlans: readonly number[];
}

export interface TcpHeader {
  readonly flags: number;
  readonly sequence: number;
  readonly acknowledgment: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
}

export interface IcmpHeader {
  readonly type: number;
  readonly code: number;
  /** Of echo requests and replies, else 0. */
  readonly id: number;
}

export interface Fragment {
  readonly id: number;
  readonly offsetBytes: number;
  readonly more: boolean;
  /** The header's own next protocol, the same in all fragments of a datagram. */
  readonly protocol: number;
}

/** Values of LINKTYPE_* that carry IP here. */
export const linkType = {
  NULL: 0,
  ETHERNET: 1,
  /** DLT_RAW of Linux and the BSDs, and of OpenBSD, which some writers put into files. */
  RAW_BSD: 12,
  RAW_OPENBSD: 14,
  RAW: 101,
  LOOP: 108,
  LINUX_SLL: 113,
  IPV4: 228,
  IPV6: 229,
  LINUX_SLL2: 276,
} as const;

const supported = new Set<number>(Object.values(linkType));

export function isSupportedLinkType(type: number): boolean {
  return supported.has(type);
}

const etherTypes = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const vlanTypes = new Set([0x8100, 0x88a8, 0x9100]);
const mostVlans = 4;
const mostExtensions = 8;
const noVlans: readonly number[] = [];
/** AF_INET6 of Linux, NetBSD and OpenBSD, FreeBSD, Darwin: the header of NULL and LOOP. */
const inet6Families = new Set([10, 24, 28, 30]);

interface Network {
  readonly version: 4 | 6;
  readonly offset: number;
  readonly vlans: readonly number[];
}

/**
 * @param data what was captured, from the link header on.
 * @param originalLength length of the frame on the wire.
 * @returns undefined for what is not IP.
 */
export function decodePacket(type: number, data: Uint8Array, originalLength: number): Packet | undefined {
  const network = networkOf(type, data);
  if (network === undefined) return undefined;
  const wireBytes = Math.max(originalLength, data.length) - network.offset;
  return network.version === 4 ? decodeIPv4(data, network, wireBytes) : decodeIPv6(data, network, wireBytes);
}

function networkOf(type: number, data: Uint8Array): Network | undefined {
  switch (type) {
    case linkType.ETHERNET:
      return behindEtherType(data, 12);
    case linkType.LINUX_SLL:
      return behindEtherType(data, 14);
    case linkType.LINUX_SLL2:
      return data.length < 20 ? undefined : behindEtherType(data, 0, 20);
    case linkType.NULL:
    case linkType.LOOP:
      return behindFamily(data);
    case linkType.IPV4:
      return network(data, 0, 4);
    case linkType.IPV6:
      return network(data, 0, 6);
    case linkType.RAW:
    case linkType.RAW_BSD:
    case linkType.RAW_OPENBSD:
      return network(data, 0, (data[0] ?? 0) >> 4 === 6 ? 6 : 4);
    default:
      return undefined;
  }
}

/** @param behind where the payload of the untagged frame begins; by default right behind the type. */
function behindEtherType(data: Uint8Array, typeAt: number, behind = typeAt + 2): Network | undefined {
  let vlans: number[] | undefined;
  let etherType = u16(data, typeAt);
  let offset = behind;
  while (vlanTypes.has(etherType)) {
    if (data.length < offset + 4 || vlans?.length === mostVlans) return undefined;
    vlans ??= [];
    vlans.push(u16(data, offset) & 0x0fff);
    etherType = u16(data, offset + 2);
    offset += 4;
  }
  if (etherType === etherTypes.ipv4) return network(data, offset, 4, vlans);
  if (etherType === etherTypes.ipv6) return network(data, offset, 6, vlans);
  return undefined;
}

/** NULL is in the byte order of the capturing host, LOOP big-endian; families are small, so the order shows. */
function behindFamily(data: Uint8Array): Network | undefined {
  if (data.length < 4) return undefined;
  const big = u32(data, 0);
  const family = big < 0x10000 ? big : ((data[1] as number) << 8) | (data[0] as number);
  if (family === 2) return network(data, 4, 4);
  return inet6Families.has(family) ? network(data, 4, 6) : undefined;
}

function network(data: Uint8Array, offset: number, version: 4 | 6, vlans = noVlans): Network | undefined {
  return data.length > offset && (data[offset] as number) >> 4 === version
    ? { version, offset, vlans }
    : undefined;
}

function decodeIPv4(data: Uint8Array, { offset, vlans }: Network, wireBytes: number): Packet | undefined {
  if (data.length < offset + 20) return undefined;
  const headerBytes = ((data[offset] as number) & 0x0f) * 4;
  const totalLength = u16(data, offset + 2);
  const bytes = totalLength === 0 ? wireBytes : Math.min(totalLength, wireBytes);
  if (headerBytes < 20 || headerBytes > bytes) return undefined;
  const protocol = data[offset + 9] as number;
  const word = u16(data, offset + 6);
  const fragment =
    (word & 0x3fff) === 0
      ? null
      : {
          id: u16(data, offset + 4),
          offsetBytes: (word & 0x1fff) * 8,
          more: (word & 0x2000) !== 0,
          protocol,
        };
  return withTransport(data, {
    source: mapped(data, offset + 12),
    destination: mapped(data, offset + 16),
    protocol,
    bytes,
    fragment,
    vlans,
    at: offset + headerBytes,
    end: offset + bytes,
  });
}

function decodeIPv6(data: Uint8Array, { offset, vlans }: Network, wireBytes: number): Packet | undefined {
  if (data.length < offset + 40) return undefined;
  const payloadLength = u16(data, offset + 4);
  let protocol = data[offset + 6] as number;
  const bytes =
    payloadLength === 0 && protocol !== protocolNumbers["ipv6-nonxt"]
      ? wireBytes
      : Math.min(payloadLength + 40, wireBytes);
  const end = offset + bytes;
  const readable = Math.min(data.length, end);
  let at = offset + 40;
  let fragment: Fragment | null = null;
  for (let count = 0; count < mostExtensions && isExtension(protocol); count++) {
    const size = extensionBytes(protocol, data, at, readable);
    if (size === undefined) break;
    const next = data[at] as number;
    if (protocol === protocolNumbers["ipv6-frag"]) {
      const word = u16(data, at + 2);
      if ((word & 0xfff9) !== 0)
        fragment = {
          id: u32(data, at + 4),
          offsetBytes: word & 0xfff8,
          more: (word & 1) !== 0,
          protocol: next,
        };
    }
    protocol = next;
    at += size;
    if (fragment !== null && fragment.offsetBytes > 0) break;
  }
  const source = copied(data, offset + 8);
  const destination = copied(data, offset + 24);
  return withTransport(data, { source, destination, protocol, bytes, fragment, vlans, at, end });
}

function isExtension(protocol: number): boolean {
  return (
    protocol === protocolNumbers.hopopt ||
    protocol === protocolNumbers["ipv6-route"] ||
    protocol === protocolNumbers["ipv6-frag"] ||
    protocol === protocolNumbers.ah ||
    protocol === protocolNumbers["ipv6-opts"]
  );
}

/** @returns the header's size, or undefined where it does not fit. */
function extensionBytes(
  protocol: number,
  data: Uint8Array,
  at: number,
  readable: number,
): number | undefined {
  if (at + 8 > readable) return undefined;
  const length = data[at + 1] as number;
  let size = (length + 1) * 8;
  if (protocol === protocolNumbers["ipv6-frag"]) size = 8;
  else if (protocol === protocolNumbers.ah) size = (length + 2) * 4;
  return at + size > readable ? undefined : size;
}

interface Transport extends Omit<Packet, "sourcePort" | "destinationPort" | "tcp" | "icmp"> {
  /** Where the transport header begins, and where the packet ends by its IP length. */
  readonly at: number;
  readonly end: number;
}

function withTransport(data: Uint8Array, found: Transport): Packet {
  const { source, destination, protocol, bytes, fragment, vlans, at, end } = found;
  const readable = fragment !== null && fragment.offsetBytes > 0 ? 0 : Math.min(data.length, end) - at;
  const ports = readable >= 4 && hasPorts(protocol);
  return {
    source,
    destination,
    protocol,
    sourcePort: ports ? u16(data, at) : 0,
    destinationPort: ports ? u16(data, at + 2) : 0,
    bytes,
    tcp: protocol === protocolNumbers.tcp && readable >= 14 ? tcpHeader(data, at, end) : null,
    icmp: readable >= 2 ? icmpHeader(protocol, data, at, readable) : null,
    fragment,
    vlans,
  };
}

function hasPorts(protocol: number): boolean {
  return (
    protocol === protocolNumbers.tcp ||
    protocol === protocolNumbers.udp ||
    protocol === protocolNumbers.sctp ||
    protocol === protocolNumbers.udplite
  );
}

function tcpHeader(data: Uint8Array, at: number, end: number): TcpHeader {
  const headerBytes = ((data[at + 12] as number) >> 4) * 4;
  return {
    flags: data[at + 13] as number,
    sequence: u32(data, at + 4),
    acknowledgment: u32(data, at + 8),
    headerBytes,
    payloadBytes: Math.max(0, end - at - headerBytes),
  };
}

function icmpHeader(protocol: number, data: Uint8Array, at: number, readable: number): IcmpHeader | null {
  if (protocol !== protocolNumbers.icmp && protocol !== protocolNumbers.icmpv6) return null;
  const type = data[at] as number;
  const id = isEcho(protocol, type) && readable >= 6 ? u16(data, at + 4) : 0;
  return { type, code: data[at + 1] as number, id };
}

/** `slice` of a `Buffer` would be a view that keeps its whole chunk in memory as long as the flow lives. */
function copied(data: Uint8Array, at: number): Uint8Array {
  const address = new Uint8Array(16);
  address.set(data.subarray(at, at + 16));
  return address;
}

function mapped(data: Uint8Array, at: number): Uint8Array {
  const address = new Uint8Array(16);
  address[10] = 0xff;
  address[11] = 0xff;
  address.set(data.subarray(at, at + 4), 12);
  return address;
}

function u16(data: Uint8Array, at: number): number {
  return ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
}

function u32(data: Uint8Array, at: number): number {
  return ((u16(data, at) << 16) | u16(data, at + 2)) >>> 0;
}
