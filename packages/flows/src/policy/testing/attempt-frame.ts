/** Attempts as frames: what a device would see of them. */
import { formatAddress, isMappedIPv4 } from "../../address.ts";
import {
  ethernet,
  fragmentHeader,
  icmp,
  icmpv6,
  ipv4,
  ipv6,
  sctp,
  tcp,
  type Upper,
  udp,
} from "../../testing/frames.ts";
import { type Attempt, policyProtocols } from "../model.ts";

/**
 * @param own an address of the node, of the peer's family.
 * @param number distinguishes connections: their source port, or an echo's identifier.
 */
export function attemptFrame(attempt: Attempt, own: Uint8Array, number: number): Uint8Array {
  const [from, to] =
    attempt.direction === "ingress" ? [attempt.peer.address, own] : [own, attempt.peer.address];
  const addresses = { source: formatAddress(from), destination: formatAddress(to) };
  const isFragment = attempt.port === undefined;
  const upper: Upper = isFragment
    ? { protocol: attempt.protocol, bytes: new Uint8Array(32) }
    : upperOf(attempt.protocol, attempt.port, number);
  if (isMappedIPv4(own))
    return ethernet(ipv4({ ...addresses, id: number, ...(isFragment ? { fragmentOffset: 64 } : {}) }, upper));
  const extensions = isFragment ? [fragmentHeader({ id: number, offset: 64, more: false })] : [];
  return ethernet(ipv6({ ...addresses, extensions }, upper));
}

function upperOf(protocol: number, port: number, number: number): Upper {
  const ports = { sourcePort: number, destinationPort: port };
  switch (protocol) {
    case policyProtocols.tcp:
      return tcp({ ...ports, flags: 0x02 });
    case policyProtocols.udp:
      return udp(ports);
    case policyProtocols.sctp:
      return sctp(ports);
    case policyProtocols.icmp:
      return icmp({ type: port & 0xff, id: number });
    case policyProtocols.icmpv6:
      return icmpv6({ type: port & 0xff, id: number });
    default:
      return { protocol, bytes: new Uint8Array(16) };
  }
}

/** What all attempts have in common that are one flow to the kernel, if their frames carry no number of their own. */
export function sharedTuple({ peer, protocol, port }: Attempt): string | undefined {
  const isEcho =
    (protocol === policyProtocols.icmp && (port === 8 || port === 0)) ||
    (protocol === policyProtocols.icmpv6 && (port === 128 || port === 129));
  const hasPorts = [policyProtocols.tcp, policyProtocols.udp, policyProtocols.sctp].includes(protocol as 6);
  if ((hasPorts || isEcho) && port !== undefined) return undefined;
  return `${formatAddress(peer.address)} ${protocol} ${port}`;
}
