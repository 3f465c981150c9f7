import { formatAddress, isMappedIPv4 } from "../address.ts";
import type { Flow } from "../flow.ts";
import { nothingLearned } from "../learned.ts";
import { isEchoRequest, protocolName, tcpFlag, tcpFlagNames } from "../protocols.ts";
import type { IcmpHeader, Packet, TcpHeader } from "./packet.ts";
import { type Parties, senderOpened } from "./parties.ts";
import type { Linked, Recency } from "./recency.ts";

/** A flow while it is counted. Index 0 of a pair is the source's side, 1 the destination's. */
export interface FlowRecord extends Linked<FlowRecord> {
  readonly number: number;
  readonly key: string;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly protocol: number;
  readonly icmp: IcmpHeader | null;
  readonly interfaceName: string;
  readonly startNs: bigint;
  latestNs: bigint;
  /** The capture's time when the flow was last touched: never falls, whatever the packets' own times say. */
  touchedNs: bigint;
  /** When TCP ended it. */
  endedNs: bigint | undefined;
  flags: number;
  readonly bytes: [number, number];
  readonly packets: [number, number];
  /** The acknowledgment number that covers each side's FIN. */
  readonly finNext: [number | undefined, number | undefined];
  readonly finAcknowledged: [boolean, boolean];
  recency: Recency<FlowRecord> | undefined;
}

export interface FirstSeen {
  readonly number: number;
  readonly key: string;
  readonly timestampNs: bigint;
  readonly interfaceName: string;
}

export function openRecord(packet: Packet, parties: Parties, seen: FirstSeen): FlowRecord {
  const opened = senderOpened(packet, parties);
  return {
    number: seen.number,
    key: seen.key,
    source: opened ? packet.source : packet.destination,
    destination: opened ? packet.destination : packet.source,
    sourcePort: opened ? parties.sourcePort : parties.destinationPort,
    destinationPort: opened ? parties.destinationPort : parties.sourcePort,
    protocol: parties.protocol,
    icmp: parties.icmp,
    interfaceName: seen.interfaceName,
    startNs: seen.timestampNs,
    latestNs: seen.timestampNs,
    touchedNs: seen.timestampNs,
    endedNs: undefined,
    flags: 0,
    bytes: [0, 0],
    packets: [0, 0],
    finNext: [undefined, undefined],
    finAcknowledged: [false, false],
    recency: undefined,
    older: undefined,
    newer: undefined,
  };
}

export function countPacket(record: FlowRecord, packet: Packet, parties: Parties, timestampNs: bigint): void {
  const side = sideOf(record, packet, parties);
  record.packets[side]++;
  record.bytes[side] += packet.bytes;
  if (timestampNs > record.latestNs) record.latestNs = timestampNs;
  if (packet.tcp === null) return;
  record.flags |= packet.tcp.flags;
  if (endsTcp(record, side, packet.tcp)) record.endedNs ??= timestampNs;
}

function sideOf(
  record: FlowRecord,
  { source, destination }: Packet,
  { sourcePort, protocol, icmp }: Parties,
): 0 | 1 {
  const order = Buffer.compare(source, destination);
  // An echo to oneself has equal ends; only the type tells the sides apart.
  if (order === 0 && icmp !== null && record.icmp !== null)
    return isEchoRequest(protocol, icmp.type) || icmp.type === record.icmp.type ? 0 : 1;
  return Buffer.compare(source, record.source) === 0 && sourcePort === record.sourcePort ? 0 : 1;
}

/** RST, or both FINs acknowledged (RFC 9293 §3.6), by serial number arithmetic. */
function endsTcp(record: FlowRecord, side: 0 | 1, tcp: TcpHeader): boolean {
  if ((tcp.flags & tcpFlag.RST) !== 0) return true;
  const other = side === 0 ? 1 : 0;
  if ((tcp.flags & tcpFlag.FIN) !== 0) record.finNext[side] = (tcp.sequence + tcp.payloadBytes + 1) >>> 0;
  const awaited = record.finNext[other];
  if ((tcp.flags & tcpFlag.ACK) !== 0 && awaited !== undefined && ((tcp.acknowledgment - awaited) | 0) >= 0)
    record.finAcknowledged[other] = true;
  return record.finAcknowledged[0] && record.finAcknowledged[1];
}

export function flowOf(record: FlowRecord, state: Flow["state"]): Flow {
  const { icmp, bytes, packets } = record;
  const port = (value: number): number => (icmp === null ? value : 0);
  return {
    id: String(record.number),
    state,
    start: isoTime(record.startNs),
    end: isoTime(record.latestNs),
    source: { ip: formatAddress(record.source), port: port(record.sourcePort), name: null },
    destination: { ip: formatAddress(record.destination), port: port(record.destinationPort), name: null },
    protocol: protocolName(record.protocol),
    icmp,
    direction: "ingress",
    place: isLoopback(record.source) && isLoopback(record.destination) ? "loopback" : "local",
    netns: 0,
    interface: record.interfaceName,
    verdict: "forwarded",
    bytes: { sent: bytes[0], received: bytes[1] },
    packets: { sent: packets[0], received: packets[1] },
    tcpFlags: tcpFlagNames(record.flags),
    cookie: null,
    process: null,
    peerProcess: null,
    ...nothingLearned,
  };
}

function isoTime(timestampNs: bigint): string {
  return new Date(Number(timestampNs / 1_000_000n)).toISOString();
}

/** 127.0.0.0/8 and ::1. */
function isLoopback(address: Uint8Array): boolean {
  if (isMappedIPv4(address)) return address[12] === 127;
  return address.every((byte, index) => byte === (index === 15 ? 1 : 0));
}
