/** Names of what is transported: the part of IANA's protocol numbers that is met in practice, and TCP's flags. */

export const protocolNumbers = {
  hopopt: 0,
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  "ipv6-route": 43,
  "ipv6-frag": 44,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  "ipv6-nonxt": 59,
  "ipv6-opts": 60,
  eigrp: 88,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  l2tp: 115,
  sctp: 132,
  udplite: 136,
  "mpls-in-ip": 137,
  hip: 139,
} as const;

const names = new Map<number, string>(
  Object.entries(protocolNumbers).map(([name, number]) => [number, name]),
);
const numbers = new Map<string, number>([
  ...Object.entries(protocolNumbers),
  ["ipv6-icmp", protocolNumbers.icmpv6],
  ["icmp6", protocolNumbers.icmpv6],
  ["ipv4", protocolNumbers.ipip],
]);

/** `tcp` for 6; the number as text where it has no common name. */
export function protocolName(number: number): string {
  return names.get(number) ?? String(number);
}

/** 6 for `tcp`, `TCP` and `6`; undefined for what is neither a known name nor a number up to 255. */
export function protocolNumber(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text)) return Number(text) <= 255 ? Number(text) : undefined;
  return numbers.get(text.toLowerCase());
}

/** Whether a type of ICMP or ICMPv6 is an echo request or reply: RFC 792, RFC 4443 §4. */
export function isEcho(protocol: number, type: number): boolean {
  return isEchoRequest(protocol, type) || type === (protocol === protocolNumbers.icmp ? 0 : 129);
}

export function isEchoRequest(protocol: number, type: number): boolean {
  return type === (protocol === protocolNumbers.icmp ? 8 : 128);
}

/** Bit n of the TCP header's flag byte is `tcpFlags[n]` (RFC 9293 §3.1). */
export const tcpFlags = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"] as const;

export const tcpFlag = { FIN: 0x01, SYN: 0x02, RST: 0x04, PSH: 0x08, ACK: 0x10 } as const;

export function tcpFlagNames(mask: number): string[] {
  return tcpFlags.filter((_, bit) => (mask & (1 << bit)) !== 0);
}
