/** One record of a batch as IPFIX wants it: numbers, and what was counted since the record before. */
import { isEchoRequest, protocolNumbers } from "../../protocols.ts";
import { recordWord } from "../../recording/record.ts";

/** One way of a flow, or both where the other way's counters go along. One object is filled again and again. */
export interface Way {
  id: number;
  netns: number;
  startMs: number;
  endMs: number;
  /** 16 bytes each, IPv4 as ::ffff:a.b.c.d. */
  source: Uint8Array;
  destination: Uint8Array;
  sourcePort: number;
  destinationPort: number;
  protocol: number;
  /** type << 8 | code. */
  icmp: number;
  flags: number;
  reverseFlags: number;
  packets: number;
  bytes: number;
  reversePackets: number;
  reverseBytes: number;
  isEgress: boolean;
  interfaceIndex: number;
  /** IANA "flowEndReason". */
  endReason: number;
  /** After translation; undefined where there was none. */
  translated: Translated | undefined;
}

export interface Translated {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

export const endReason = { idle: 1, active: 2, ended: 3, forced: 4 } as const;

/** RFC 4443 §4.2. */
const ECHO_REPLY_6 = 129;
const EMPTY = new Uint8Array(16);

export function emptyWay(): Way {
  return {
    id: 0,
    netns: 0,
    startMs: 0,
    endMs: 0,
    source: EMPTY,
    destination: EMPTY,
    sourcePort: 0,
    destinationPort: 0,
    protocol: 0,
    icmp: 0,
    flags: 0,
    reverseFlags: 0,
    packets: 0,
    bytes: 0,
    reversePackets: 0,
    reverseBytes: 0,
    isEgress: false,
    interfaceIndex: 0,
    endReason: 0,
    translated: undefined,
  };
}

/** Fills `way` from a record's words, source to destination; counters are those since the record before. */
export function readWay(way: Way, words: Uint32Array, doubles: Float64Array, base: number): void {
  const at = (word: number): number => words[base + word] as number;
  const double = (word: number): number => doubles[(base + word) / 2] as number;
  const address = (word: number): Uint8Array =>
    new Uint8Array(words.buffer, words.byteOffset + (base + word) * 4, 16);
  const kind = at(recordWord.kind);
  const flags = at(recordWord.protocol);
  const isIcmp = isIcmpProtocol(flags & 0xff);
  way.id = double(recordWord.idF64);
  way.netns = at(recordWord.netns);
  way.startMs = double(recordWord.startF64);
  way.endMs = double(recordWord.endF64);
  way.source = address(recordWord.source);
  way.destination = address(recordWord.destination);
  way.sourcePort = isIcmp ? 0 : at(recordWord.ports) & 0xffff;
  way.destinationPort = isIcmp ? 0 : at(recordWord.ports) >>> 16;
  way.protocol = flags & 0xff;
  way.icmp = at(recordWord.icmp);
  way.flags = (flags >>> 8) & 0xff;
  way.reverseFlags = (flags >>> 16) & 0xff;
  way.packets = double(recordWord.sentPacketsF64) - double(recordWord.earlierF64);
  way.reversePackets = double(recordWord.receivedPacketsF64) - double(recordWord.earlierF64 + 2);
  way.bytes = double(recordWord.sentBytesF64) - double(recordWord.earlierF64 + 4);
  way.reverseBytes = double(recordWord.receivedBytesF64) - double(recordWord.earlierF64 + 6);
  way.isEgress = kind >>> 24 !== 0;
}

/** Turns a way round: what the destination sent. Its translation is seen before it is undone. */
export function turn(way: Way): void {
  const { source, destination, sourcePort, destinationPort, translated } = way;
  way.source = translated?.destination ?? destination;
  way.destination = translated?.source ?? source;
  way.sourcePort = translated?.destinationPort ?? destinationPort;
  way.destinationPort = translated?.sourcePort ?? sourcePort;
  if (translated !== undefined)
    way.translated = {
      source: destination,
      destination: source,
      sourcePort: destinationPort,
      destinationPort: sourcePort,
    };
  // Echo is answered by another type; what else is answered keeps that of the first packet.
  if (isIcmpProtocol(way.protocol) && isEchoRequest(way.protocol, way.icmp >>> 8))
    way.icmp = way.protocol === protocolNumbers.icmp ? 0 : ECHO_REPLY_6 << 8;
  way.isEgress = !way.isEgress;
  [way.packets, way.reversePackets] = [way.reversePackets, way.packets];
  [way.bytes, way.reverseBytes] = [way.reverseBytes, way.bytes];
  [way.flags, way.reverseFlags] = [way.reverseFlags, way.flags];
}

export function isIcmpProtocol(protocol: number): boolean {
  return protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
}
