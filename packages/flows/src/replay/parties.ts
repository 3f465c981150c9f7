/** Which conversation a packet belongs to, and which side opened it. */
import { isEcho, isEchoRequest, tcpFlag } from "../protocols.ts";
import type { IcmpHeader, Packet } from "./packet.ts";

/** What tells conversations between two addresses apart. */
export interface Parties {
  readonly protocol: number;
  /** Ports; of an echo its id, of other ICMP type and code, on both sides. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly icmp: IcmpHeader | null;
}

/** How many datagrams' first fragments are remembered: about what Linux reassembles at once (4 MiB of 1 KiB). */
const rememberedDatagrams = 4096;

/** Gives later fragments the parties of the first of their datagram, as long as that was seen lately. */
export function partiesOfFragments(): (packet: Packet) => Parties {
  const first = new Map<string, Parties>();
  return (packet) => {
    if (packet.fragment === null) return partiesOf(packet);
    const { id, protocol, offsetBytes } = packet.fragment;
    const key = `${Buffer.from(packet.source).toString("latin1")}${Buffer.from(packet.destination).toString("latin1")}${protocol}.${id}`;
    if (offsetBytes > 0) return first.get(key) ?? partiesOf(packet);
    const parties = partiesOf(packet);
    first.delete(key);
    first.set(key, parties);
    if (first.size > rememberedDatagrams) first.delete(first.keys().next().value as string);
    return parties;
  };
}

function partiesOf({ protocol, sourcePort, destinationPort, icmp }: Packet): Parties {
  if (icmp === null) return { protocol, sourcePort, destinationPort, icmp };
  const port = isEcho(protocol, icmp.type) ? icmp.id : (icmp.type << 8) | icmp.code;
  return { protocol, sourcePort: port, destinationPort: port, icmp };
}

const scratch = Buffer.alloc(38);

/** The same for both directions; an echo's id never equals another message's type and code. */
export function conversationKey(packet: Packet, parties: Parties): string {
  const { protocol, sourcePort, destinationPort, icmp } = parties;
  const order = Buffer.compare(packet.source, packet.destination) || sourcePort - destinationPort;
  const [low, lowPort, high, highPort] =
    order <= 0
      ? [packet.source, sourcePort, packet.destination, destinationPort]
      : [packet.destination, destinationPort, packet.source, sourcePort];
  scratch.set(low, 0);
  scratch.set(high, 16);
  scratch.writeUInt16LE(lowPort, 32);
  scratch.writeUInt16LE(highPort, 34);
  scratch[36] = protocol;
  scratch[37] = icmp !== null && isEcho(protocol, icmp.type) ? 1 : 0;
  return scratch.toString("latin1");
}

/** @param packet the first one seen of a conversation. @returns whether its sender opened the conversation. */
export function senderOpened({ tcp }: Packet, parties: Parties): boolean {
  const { protocol, sourcePort, destinationPort, icmp } = parties;
  if (icmp !== null) return !isEcho(protocol, icmp.type) || isEchoRequest(protocol, icmp.type);
  if (tcp !== null && (tcp.flags & tcpFlag.SYN) !== 0) return (tcp.flags & tcpFlag.ACK) === 0;
  // Joined in the middle: the only well-known port is the server's.
  return !(isWellKnown(sourcePort) && !isWellKnown(destinationPort));
}

function isWellKnown(port: number): boolean {
  return port < 1024;
}
