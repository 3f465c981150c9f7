/** What a recorded flow asked of the policies of this host, or why they were not asked. */
import type { FlowProcess } from "../../flow.ts";
import type { PastFlow } from "../../history/replay.ts";
import { protocolNumbers, tcpFlag } from "../../protocols.ts";
import { places } from "../../recording/record.ts";
import { verdicts } from "../../verdicts.ts";

/** Flows of which no policy is asked here. */
export const unasked = [
  "forwarded",
  "loopback",
  "otherNamespaces",
  "vital",
  "icmpErrors",
  /** By the policies of their time. */
  "dropped",
] as const;
export type Unasked = (typeof unasked)[number];

/** A flow as an attempt of this host's end; valid until the next one. */
export interface Asked {
  isLoopback: boolean;
  isEgress: boolean;
  /** Number of the other end's address. */
  peer: number;
  /** What the other end was called; lower case. */
  peerName: string;
  protocol: number;
  /** Destination port, or type of ICMP. */
  port: number | undefined;
  /** At this host's end; on loopback at the end that is asked. */
  process: FlowProcess | null;
}

const { tcp, udp, udplite, sctp, icmp, icmpv6 } = protocolNumbers;
const LOCAL = places.indexOf("local");
const LOOPBACK = places.indexOf("loopback");
const DROPPED = verdicts.indexOf("dropped");

/** Where policies are enforced, as far as it decides which flows they are asked of. */
export interface Enforced {
  /** Inode of the namespace whose packets are judged; undefined: of all. */
  readonly netns: number | undefined;
  /** Whether loopback is judged too, as it is without management. */
  readonly judgeLoopback: boolean;
}

/**
 * Fills in what is asked. Of loopback that is who opens: the node is asked for what leaves, and nothing comes in.
 * @returns why nothing is, where that is so.
 */
export function ask(flow: PastFlow, { netns, judgeLoopback }: Enforced, into: Asked): Unasked | undefined {
  const isLoopback = flow.place === LOOPBACK;
  if (isLoopback && !judgeLoopback) return "loopback";
  if (!isLoopback && flow.place !== LOCAL) return "forwarded";
  if (netns !== undefined && flow.netns !== netns) return "otherNamespaces";
  if (flow.verdict === DROPPED) return "dropped";
  const { protocol } = flow;
  const type = flow.icmp >>> 8;
  if (isVital(flow, type)) return "vital";
  if (isError(protocol, type)) return "icmpErrors";
  into.isLoopback = isLoopback;
  into.isEgress = isLoopback || flow.isEgress;
  into.peer = into.isEgress ? flow.destination : flow.source;
  into.peerName = (into.isEgress ? flow.destinationName : flow.sourceName).toLowerCase();
  into.protocol = protocol;
  into.port = protocol === icmp || protocol === icmpv6 ? type : portOf(flow);
  // Away from loopback there is one process, of this host's end.
  into.process = isLoopback ? openersProcess(flow) : flow.process;
  return undefined;
}

/** Fills in what a workload that is asked on loopback is asked. @param opening what was asked of who opens */
export function askReceiver(flow: PastFlow, opening: Asked, into: Asked): void {
  Object.assign(into, opening);
  into.isEgress = false;
  into.peer = flow.source;
  into.peerName = flow.sourceName.toLowerCase();
  into.process = flow.isEgress ? flow.peerProcess : flow.process;
}

/** Where both ends are local, `process` is at the end that a record's direction tells. */
function openersProcess({ isEgress, process, peerProcess }: PastFlow): FlowProcess | null {
  return isEgress ? process : peerProcess;
}

/** A later fragment whose ports nobody knows has none; what has no ports at all asks for 0. */
function portOf({ protocol, sourcePort, destinationPort }: PastFlow): number | undefined {
  const hasPorts = protocol === tcp || protocol === udp || protocol === udplite || protocol === sctp;
  return hasPorts && sourcePort === 0 && destinationPort === 0 ? undefined : destinationPort;
}

/** What a network needs to work at all, and the kernel side lets pass: neighbour discovery, MLD, DHCP. */
function isVital({ protocol, sourcePort, destinationPort }: PastFlow, type: number): boolean {
  if (protocol === icmpv6) return (type >= 130 && type <= 137) || type === 143;
  if (protocol !== udp) return false;
  const isDhcp = (port: number): boolean => port === 67 || port === 68;
  const isDhcpv6 = (port: number): boolean => port === 546 || port === 547;
  return (
    (isDhcp(sourcePort) && isDhcp(destinationPort) && (sourcePort === 67 || destinationPort === 67)) ||
    (isDhcpv6(sourcePort) && isDhcpv6(destinationPort) && sourcePort !== destinationPort)
  );
}

/** They pass with the connection that they are about, which a record does not name. */
function isError(protocol: number, type: number): boolean {
  if (protocol === icmp) return type === 3 || type === 11 || type === 12;
  return protocol === icmpv6 && type >= 1 && type <= 4;
}

/**
 * Whether it came to something. Scans, refused connections and a single packet without an answer did not: to drop
 * them costs nobody anything.
 */
export function cameToSomething(flow: PastFlow): boolean {
  const { protocol, sourceFlags, destinationFlags, sentPackets, receivedPackets } = flow;
  if (protocol !== tcp) return receivedPackets > 0 || sentPackets > 1;
  const { SYN, FIN, PSH, ACK, RST } = tcpFlag;
  if ((destinationFlags & (SYN | FIN | PSH)) !== 0) return true;
  if ((destinationFlags & RST) !== 0) return false;
  // Answers that took another way: what is acknowledged was heard.
  return (destinationFlags & ACK) !== 0 || ((sourceFlags & ACK) !== 0 && sentPackets > 1);
}
