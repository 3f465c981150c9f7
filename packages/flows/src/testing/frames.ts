/**
 * Frames for tests, built from the inside out with right lengths and checksums:
 * `ethernet(ipv4({ source, destination }, tcp({ sourcePort, destinationPort, flags }, payload)))`.
 * Every field that a test may want to falsify can be given; what is not given is right.
 */
import { isMappedIPv4, parseAddress } from "../address.ts";
import { protocolNumbers } from "../protocols.ts";

/** What an IP packet carries. `checksumAt` names the 16-bit checksum that also covers the pseudo-header. */
export interface Upper {
  readonly protocol: number;
  readonly bytes: Uint8Array;
  readonly checksumAt?: number;
}

export interface Addresses {
  readonly source: string;
  readonly destination: string;
}

export interface Ports {
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export interface IPv4Options extends Addresses {
  readonly id?: number;
  /** In 8-byte units, as in the header. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  /** A multiple of 4 bytes, at most 40. */
  readonly options?: Uint8Array;
  /** Falsifies the total length. */
  readonly totalLength?: number;
  /** Falsifies the header length, in 32-bit words. */
  readonly headerWords?: number;
}

export interface IPv6Options extends Addresses {
  readonly extensions?: readonly Extension[];
  /** Falsifies the payload length. */
  readonly payloadLength?: number;
}

/** An IPv6 extension header, or AH: `bytes` without its first byte, the next header. */
export interface Extension {
  readonly header: number;
  readonly rest: Uint8Array;
}

export interface Vlan {
  readonly id: number;
  /** 0x8100 (802.1Q, default) or 0x88a8 (802.1ad). */
  readonly tpid?: number;
}

export interface EthernetOptions {
  readonly vlans?: readonly Vlan[];
  readonly etherType?: number;
  readonly destination?: readonly number[];
  readonly source?: readonly number[];
  /** Pads to 60 bytes, as on a wire. Default false. */
  readonly pad?: boolean;
}

type Bytes = Uint8Array | readonly number[];

export function bytesOf(...parts: readonly Bytes[]): Uint8Array {
  return joined(parts);
}

/** The same for more parts than a call has room for. */
export function joined(parts: readonly Bytes[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export const be16 = (value: number): number[] => [(value >> 8) & 0xff, value & 0xff];
export const be32 = (value: number): number[] => [...be16(value >>> 16), ...be16(value)];

export function ethernet(packet: Uint8Array, options: EthernetOptions = {}): Uint8Array {
  const etherType = options.etherType ?? ((packet[0] ?? 0) >> 4 === 6 ? 0x86dd : 0x0800);
  const tags = (options.vlans ?? []).flatMap((vlan) => [...be16(vlan.tpid ?? 0x8100), ...be16(vlan.id)]);
  const frame = bytesOf(
    options.destination ?? [2, 0, 0, 0, 0, 2],
    options.source ?? [2, 0, 0, 0, 0, 1],
    tags,
    be16(etherType),
    packet,
  );
  return options.pad === true && frame.length < 60
    ? bytesOf(frame, new Uint8Array(60 - frame.length))
    : frame;
}

export function ipv4(options: IPv4Options, upper: Upper): Uint8Array {
  const extra = options.options ?? new Uint8Array(0);
  const source = address(options.source, 4);
  const destination = address(options.destination, 4);
  const words = 5 + extra.length / 4;
  const fragment = (options.moreFragments === true ? 0x2000 : 0) | (options.fragmentOffset ?? 0);
  const header = bytesOf(
    [0x40 | (options.headerWords ?? words), 0],
    be16(options.totalLength ?? words * 4 + upper.bytes.length),
    be16(options.id ?? 0),
    be16(fragment),
    [64, upper.protocol, 0, 0],
    source,
    destination,
    extra,
  );
  header.set(be16(checksum(header)), 10);
  return bytesOf(header, withChecksum(upper, source, destination));
}

export function ipv6(options: IPv6Options, upper: Upper): Uint8Array {
  const source = address(options.source, 6);
  const destination = address(options.destination, 6);
  const extensions = options.extensions ?? [];
  const chain = extensions.flatMap((extension, index) => [
    extensions[index + 1]?.header ?? upper.protocol,
    ...extension.rest,
  ]);
  const length = options.payloadLength ?? chain.length + upper.bytes.length;
  return bytesOf(
    [0x60, 0, 0, 0],
    be16(length),
    [extensions[0]?.header ?? upper.protocol, 64],
    source,
    destination,
    chain,
    withChecksum(upper, source, destination),
  );
}

/** Hop-by-hop (0), routing (43) or destination options (60): 8 bytes and 8 for each of `extraWords`. */
export function extension(header: number, extraWords = 0): Extension {
  const rest = new Uint8Array(7 + 8 * extraWords);
  rest[0] = extraWords;
  // One PadN option fills the rest; of a routing header of type 0 it is reserved space with no segment left.
  if (header !== 43) rest.set([1, 4 + 8 * extraWords], 1);
  return { header, rest };
}

export function fragmentHeader(options: { id: number; offset: number; more: boolean }): Extension {
  const word = (options.offset << 3) | (options.more ? 1 : 0);
  return { header: 44, rest: bytesOf([0], be16(word), be32(options.id)) };
}

/** @param icvWords length of the integrity check value, in 32-bit words. */
export function authenticationHeader(icvWords = 3): Extension {
  return { header: 51, rest: bytesOf([icvWords + 1, 0, 0], new Uint8Array(8 + 4 * icvWords)) };
}

export interface TcpOptions extends Ports {
  /** The flag byte; `tcpFlag` of protocols.ts has the bits. */
  readonly flags: number;
  readonly sequence?: number;
  readonly acknowledgment?: number;
  /** A multiple of 4 bytes, at most 40. */
  readonly options?: Uint8Array;
}

export function tcp(options: TcpOptions, payload: Uint8Array = new Uint8Array(0)): Upper {
  const extra = options.options ?? new Uint8Array(0);
  const bytes = bytesOf(
    be16(options.sourcePort),
    be16(options.destinationPort),
    be32(options.sequence ?? 0),
    be32(options.acknowledgment ?? 0),
    [(5 + extra.length / 4) << 4, options.flags, 0xff, 0xff, 0, 0, 0, 0],
    extra,
    payload,
  );
  return { protocol: protocolNumbers.tcp, bytes, checksumAt: 16 };
}

export function udp(ports: Ports, payload: Uint8Array = new Uint8Array(0)): Upper {
  const bytes = bytesOf(
    be16(ports.sourcePort),
    be16(ports.destinationPort),
    be16(8 + payload.length),
    [0, 0],
    payload,
  );
  return { protocol: protocolNumbers.udp, bytes, checksumAt: 6 };
}

/** An SCTP common header; its CRC32c is left 0. */
export function sctp(ports: Ports, payload: Uint8Array = new Uint8Array(0)): Upper {
  const bytes = bytesOf(be16(ports.sourcePort), be16(ports.destinationPort), new Uint8Array(8), payload);
  return { protocol: protocolNumbers.sctp, bytes };
}

export interface IcmpOptions {
  readonly type: number;
  readonly code?: number;
  /** Identifier of an echo. */
  readonly id?: number;
  readonly sequence?: number;
}

export function icmp(options: IcmpOptions, payload: Uint8Array = new Uint8Array(0)): Upper {
  const bytes = icmpBytes(options, payload);
  bytes.set(be16(checksum(bytes)), 2);
  return { protocol: protocolNumbers.icmp, bytes };
}

export function icmpv6(options: IcmpOptions, payload: Uint8Array = new Uint8Array(0)): Upper {
  return { protocol: protocolNumbers.icmpv6, bytes: icmpBytes(options, payload), checksumAt: 2 };
}

/** Splits what `upper` carries into IPv4 fragments of at most `size` payload bytes, a multiple of 8. */
export function ipv4Fragments(
  options: IPv4Options & { id: number },
  upper: Upper,
  size: number,
): Uint8Array[] {
  const bytes = withChecksum(upper, address(options.source, 4), address(options.destination, 4));
  return pieces(bytes, size).map(({ offset, piece, more }) =>
    ipv4(
      { ...options, fragmentOffset: offset / 8, moreFragments: more },
      { protocol: upper.protocol, bytes: piece },
    ),
  );
}

/** Likewise for IPv6; extension headers of `options` stand before the fragment header, in every fragment. */
export function ipv6Fragments(
  options: IPv6Options & { id: number },
  upper: Upper,
  size: number,
): Uint8Array[] {
  const bytes = withChecksum(upper, address(options.source, 6), address(options.destination, 6));
  return pieces(bytes, size).map(({ offset, piece, more }) => {
    const fragment = fragmentHeader({ id: options.id, offset: offset / 8, more });
    const extensions = [...(options.extensions ?? []), fragment];
    return ipv6({ ...options, extensions }, { protocol: upper.protocol, bytes: piece });
  });
}

function pieces(bytes: Uint8Array, size: number): { offset: number; piece: Uint8Array; more: boolean }[] {
  const list = [];
  for (let offset = 0; offset < bytes.length; offset += size)
    list.push({ offset, piece: bytes.subarray(offset, offset + size), more: offset + size < bytes.length });
  return list;
}

function icmpBytes(options: IcmpOptions, payload: Uint8Array): Uint8Array {
  return bytesOf(
    [options.type, options.code ?? 0, 0, 0],
    be16(options.id ?? 0),
    be16(options.sequence ?? 0),
    payload,
  );
}

function address(text: string, version: 4 | 6): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined || (version === 4 && !isMappedIPv4(bytes)))
    throw new TypeError(`"${text}" is no IPv${version} address`);
  return version === 4 ? bytes.subarray(12) : bytes;
}

function withChecksum(upper: Upper, source: Uint8Array, destination: Uint8Array): Uint8Array {
  if (upper.checksumAt === undefined) return upper.bytes;
  const bytes = upper.bytes.slice();
  bytes.set([0, 0], upper.checksumAt);
  const pseudo = bytesOf(source, destination, be32(bytes.length), be32(upper.protocol));
  const sum = checksum(bytesOf(pseudo, bytes));
  // UDP's 0 means "no checksum", so a sum of 0 is sent as its other representation (RFC 768).
  bytes.set(be16(sum === 0 && upper.protocol === protocolNumbers.udp ? 0xffff : sum), upper.checksumAt);
  return bytes;
}

/** The Internet checksum, RFC 1071. */
export function checksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let index = 0; index < bytes.length; index += 2)
    sum += ((bytes[index] as number) << 8) | (bytes[index + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}
