/**
 * One entry of connection tracking, from a ctnetlink message: nested attributes of 4 bytes of header (length with
 * it, type), values in network order. Numbers: include/uapi/linux/netfilter/nfnetlink_conntrack.h and
 * nf_conntrack_common.h. Reads into buffers that are used again: thousands come in a second.
 */
import { isEcho, protocolNumbers } from "../protocols.ts";

const NFGENMSG = 4;
const CTA_TUPLE_ORIG = 1;
const CTA_TUPLE_REPLY = 2;
const CTA_STATUS = 3;
const CTA_ID = 12;
const CTA_TUPLE_IP = 1;
const CTA_TUPLE_PROTO = 2;
const CTA_IP_V4_SRC = 1;
const CTA_IP_V4_DST = 2;
const CTA_IP_V6_SRC = 3;
const CTA_IP_V6_DST = 4;
const CTA_PROTO_NUM = 1;
const CTA_PROTO_SRC_PORT = 2;
const CTA_PROTO_DST_PORT = 3;
const CTA_PROTO_ICMP_ID = 4;
const CTA_PROTO_ICMP_TYPE = 5;
const CTA_PROTO_ICMP_CODE = 6;
const CTA_PROTO_ICMPV6_ID = 7;
const CTA_PROTO_ICMPV6_TYPE = 8;
const CTA_PROTO_ICMPV6_CODE = 9;
/** IPS_SRC_NAT | IPS_DST_NAT: one of its tuple's ends was changed. */
const TRANSLATED = 0x30;
/** Of one level: the kernel sends 30 at most; a message that has more is damaged. */
const MOST_ATTRIBUTES = 64;
/** A nested attribute's flag and the byte order's lie above the type. */
const TYPE_MASK = 0x3fff;

/** The protocols whose ports the flow key keeps: `read_transport` in bpf/packet.h. */
const withPorts: ReadonlySet<number> = new Set([
  protocolNumbers.tcp,
  protocolNumbers.udp,
  protocolNumbers.udplite,
  protocolNumbers.sctp,
]);

/** One direction of a connection, in the terms of a flow key. */
export interface Tuple {
  /** Source and destination, 16 bytes each, IPv4 as `::ffff:a.b.c.d`. */
  readonly addresses: Uint8Array;
  /** Of source and destination. ICMP: the identifier of an echo, else type << 8 | code, in both. */
  readonly ports: Uint16Array;
  protocol: number;
  isEcho: boolean;
}

export interface EntryReader {
  /** As the connection's opener sends it, and as its peer answers. Valid until the next `read`. */
  readonly original: Tuple;
  readonly reply: Tuple;
  /** The kernel's own number for the entry. */
  readonly id: number;
  /** @param payload of a message, from `struct nfgenmsg` on. @returns whether it is a translated connection. */
  read(payload: Uint8Array): boolean;
}

export function createEntryReader(): EntryReader {
  const original = emptyTuple();
  const reply = emptyTuple();
  const top = new Int32Array(CTA_ID + 1);
  const found: Found = {
    inTuple: new Int32Array(CTA_TUPLE_PROTO + 1),
    inIp: new Int32Array(CTA_IP_V6_DST + 1),
    inProto: new Int32Array(CTA_PROTO_ICMPV6_CODE + 1),
  };
  const reader = {
    original,
    reply,
    id: 0,
    read(payload: Uint8Array): boolean {
      if (!find(payload, NFGENMSG, payload.length, top)) return false;
      const status = top[CTA_STATUS] as number;
      // Nearly every entry of a host that translates little ends here.
      if (lengthOf(payload, status) < 4 || (u32(payload, status) & TRANSLATED) === 0) return false;
      const id = top[CTA_ID] as number;
      reader.id = lengthOf(payload, id) < 4 ? 0 : u32(payload, id);
      return (
        readTuple(payload, top[CTA_TUPLE_ORIG] as number, original, found) &&
        readTuple(payload, top[CTA_TUPLE_REPLY] as number, reply, found) &&
        original.protocol === reply.protocol
      );
    },
  };
  return reader;
}

function emptyTuple(): Tuple {
  return { addresses: new Uint8Array(32), ports: new Uint16Array(2), protocol: 0, isEcho: false };
}

/** Where the attributes of each level of a tuple were found. */
interface Found {
  readonly inTuple: Int32Array;
  readonly inIp: Int32Array;
  readonly inProto: Int32Array;
}

function readTuple(bytes: Uint8Array, at: number, into: Tuple, found: Found): boolean {
  const { inTuple, inIp, inProto } = found;
  if (at < 0 || !find(bytes, at, endOf(bytes, at), inTuple)) return false;
  const ip = inTuple[CTA_TUPLE_IP] as number;
  const proto = inTuple[CTA_TUPLE_PROTO] as number;
  if (ip < 0 || proto < 0) return false;
  if (!find(bytes, ip, endOf(bytes, ip), inIp) || !find(bytes, proto, endOf(bytes, proto), inProto))
    return false;
  const isV4 = copyAddresses(
    bytes,
    inIp[CTA_IP_V4_SRC] as number,
    inIp[CTA_IP_V4_DST] as number,
    4,
    into.addresses,
  );
  if (
    !isV4 &&
    !copyAddresses(bytes, inIp[CTA_IP_V6_SRC] as number, inIp[CTA_IP_V6_DST] as number, 16, into.addresses)
  )
    return false;
  const number = inProto[CTA_PROTO_NUM] as number;
  if (lengthOf(bytes, number) < 1) return false;
  const protocol = bytes[number] as number;
  into.protocol = protocol;
  into.isEcho = false;
  into.ports.fill(0);
  if (withPorts.has(protocol)) {
    const source = inProto[CTA_PROTO_SRC_PORT] as number;
    const destination = inProto[CTA_PROTO_DST_PORT] as number;
    if (lengthOf(bytes, source) < 2 || lengthOf(bytes, destination) < 2) return false;
    into.ports[0] = u16(bytes, source);
    into.ports[1] = u16(bytes, destination);
    return true;
  }
  const isV6 = protocol === protocolNumbers.icmpv6;
  if (!isV6 && protocol !== protocolNumbers.icmp) return true;
  const id = inProto[isV6 ? CTA_PROTO_ICMPV6_ID : CTA_PROTO_ICMP_ID] as number;
  const type = inProto[isV6 ? CTA_PROTO_ICMPV6_TYPE : CTA_PROTO_ICMP_TYPE] as number;
  const code = inProto[isV6 ? CTA_PROTO_ICMPV6_CODE : CTA_PROTO_ICMP_CODE] as number;
  if (lengthOf(bytes, id) < 2 || lengthOf(bytes, type) < 1 || lengthOf(bytes, code) < 1) return false;
  into.isEcho = isEcho(protocol, bytes[type] as number);
  into.ports.fill(into.isEcho ? u16(bytes, id) : ((bytes[type] as number) << 8) | (bytes[code] as number));
  return true;
}

function copyAddresses(
  bytes: Uint8Array,
  source: number,
  destination: number,
  size: number,
  into: Uint8Array,
): boolean {
  if (lengthOf(bytes, source) < size || lengthOf(bytes, destination) < size) return false;
  into.fill(0);
  for (const [at, base] of [
    [source, 0],
    [destination, 16],
  ] as const) {
    if (size === 4) into[base + 10] = into[base + 11] = 0xff;
    for (let index = 0; index < size; index++) into[base + 16 - size + index] = bytes[at + index] as number;
  }
  return true;
}

/**
 * Where the values of the attributes between `from` and `to` begin, by type; -1 for those that are not there.
 * @returns false if they contradict their own lengths.
 */
function find(bytes: Uint8Array, from: number, to: number, found: Int32Array): boolean {
  found.fill(-1);
  let count = 0;
  for (let at = from; at + 4 <= to; ) {
    const length = (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
    if (length < 4 || at + length > to || ++count > MOST_ATTRIBUTES) return false;
    const type = ((bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)) & TYPE_MASK;
    if (type < found.length) found[type] = at + 4;
    at += (length + 3) & ~3;
  }
  return true;
}

/** Bytes of the value that begins at `at`; 0 for one that is not there. */
function lengthOf(bytes: Uint8Array, at: number): number {
  return at < 0 ? 0 : ((bytes[at - 4] as number) | ((bytes[at - 3] as number) << 8)) - 4;
}

function endOf(bytes: Uint8Array, at: number): number {
  return at + lengthOf(bytes, at);
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}

function u32(bytes: Uint8Array, at: number): number {
  return ((u16(bytes, at) << 16) | u16(bytes, at + 2)) >>> 0;
}
