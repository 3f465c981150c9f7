/** Seeded traffic for tests: connections of every kind that a decoder and the accounting must tell apart. */
import { type Random, seededRandom } from "@x0tta6bl4/core";
import {
  authenticationHeader,
  type Extension,
  extension,
  icmp,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  sctp,
  tcp,
  type Upper,
  udp,
  type Vlan,
} from "./frames.ts";

export interface MixedPacket {
  /** From the IP header on. */
  readonly packet: Uint8Array;
  readonly timestampNs: bigint;
  /** Tags of its connection on Ethernet. */
  readonly vlans: readonly Vlan[];
}

const startNs = 1_767_225_600_000_000_000n;

/**
 * The packets of `connections` connections, mixed by time: IPv4 and IPv6, TCP, UDP, echo, ICMP errors, SCTP, GRE,
 * with fragments, IPv4 options, extension headers, and none, one or two VLAN tags.
 */
export function mixedTraffic(seed: number, connections: number): MixedPacket[] {
  const random = seededRandom(seed);
  const all: MixedPacket[] = [];
  for (let index = 0; index < connections; index++) {
    const vlans = [[], [], [{ id: 7 }], [{ id: 9, tpid: 0x88a8 }, { id: 100 }]][random.below(4)] ?? [];
    let timestampNs = startNs + BigInt(random.below(30_000_000)) * 1000n;
    for (const packet of connection(random, index)) {
      timestampNs += BigInt(1 + random.below(200_000)) * 1000n;
      all.push({ packet, timestampNs, vlans });
    }
  }
  return all.sort((a, b) => Number(a.timestampNs - b.timestampNs));
}

type Send = (upper: Upper, back?: boolean) => Uint8Array[];

/** IP packets of one connection of a random kind. */
function connection(random: Random, index: number): Uint8Array[] {
  const six = random.below(2) === 1;
  const host = 1 + random.below(250);
  const [client, server] = six
    ? [`2001:db8::${host.toString(16)}`, "2001:db8:1::1"]
    : [`10.0.0.${host}`, "192.0.2.1"];
  const way = (back: boolean) =>
    back ? { source: server, destination: client } : { source: client, destination: server };
  const extensions: readonly Extension[] =
    [[], [], [extension(0), extension(60, 1)], [extension(43), authenticationHeader()]][random.below(4)] ??
    [];
  const options = new Uint8Array(4 * random.below(4)).fill(1);
  const whole: Send = (upper, back = false) => [
    six ? ipv6({ ...way(back), extensions }, upper) : ipv4({ ...way(back), options }, upper),
  ];
  let id = index * 64;
  const split: Send = (upper, back = false) =>
    six
      ? ipv6Fragments({ ...way(back), id: ++id }, upper, 1232)
      : ipv4Fragments({ ...way(back), id: ++id }, upper, 1232);
  const ports = { sourcePort: 32_768 + index, destinationPort: [53, 443, 8080][random.below(3)] ?? 80 };
  const kinds = [
    () => tcpConnection(random, ports, whole),
    () => tcpConnection(random, ports, whole),
    () => datagrams(random, ports, whole, 1200),
    () => datagrams(random, ports, split, 5000),
    () => pings(random, six, index, whole),
    () => others(random, ports, six, whole),
  ];
  return (kinds[random.below(kinds.length)] ?? (() => []))();
}

type Ports = { readonly sourcePort: number; readonly destinationPort: number };

const reversed = ({ sourcePort, destinationPort }: Ports): Ports => ({
  sourcePort: destinationPort,
  destinationPort: sourcePort,
});

function tcpConnection(random: Random, ports: Ports, send: Send): Uint8Array[] {
  const packets: Uint8Array[] = [];
  const next = { client: random.below(2 ** 32), server: random.below(2 ** 32) };
  const segment = (back: boolean, flags: number, size = 0): void => {
    const [mine, theirs] = back ? (["server", "client"] as const) : (["client", "server"] as const);
    const acknowledgment = flags & 0x10 ? next[theirs] : 0;
    const header = { ...(back ? reversed(ports) : ports), flags, sequence: next[mine], acknowledgment };
    packets.push(...send(tcp(header, new Uint8Array(size)), back));
    next[mine] = (next[mine] + size + (flags & 3 ? 1 : 0)) >>> 0;
  };
  segment(false, 0x02);
  if (random.below(8) === 0) {
    segment(true, 0x14);
    return packets;
  }
  segment(true, 0x12);
  segment(false, 0x10);
  for (let count = random.below(12); count > 0; count--)
    segment(random.below(2) === 1, 0x18, 1 + random.below(1380));
  if (random.below(4) === 0) segment(true, 0x14);
  else
    for (const [back, flags] of [
      [false, 0x11],
      [true, 0x11],
      [false, 0x10],
    ] as const)
      segment(back, flags);
  return packets;
}

function datagrams(random: Random, ports: Ports, send: Send, most: number): Uint8Array[] {
  return Array.from({ length: 1 + random.below(6) }, () => {
    const back = random.below(2) === 1;
    return send(udp(back ? reversed(ports) : ports, new Uint8Array(random.below(most))), back);
  }).flat();
}

function pings(random: Random, six: boolean, id: number, send: Send): Uint8Array[] {
  return Array.from({ length: 1 + random.below(4) }, (_, sequence) =>
    [false, true].flatMap((back) => {
      const data = new Uint8Array(56);
      return send(
        six
          ? icmpv6({ type: back ? 129 : 128, id, sequence }, data)
          : icmp({ type: back ? 0 : 8, id, sequence }, data),
        back,
      );
    }),
  ).flat();
}

/** SCTP, GRE, and an ICMP error that quotes a datagram. */
function others(random: Random, ports: Ports, six: boolean, send: Send): Uint8Array[] {
  const [quoted = new Uint8Array(0)] = send(udp(ports));
  const unreachable = six ? icmpv6({ type: 1, code: 4 }, quoted) : icmp({ type: 3, code: 3 }, quoted);
  // A DATA chunk's header, so that the dissector has something to dissect; GRE carrying an unassigned type.
  const uppers: readonly Upper[] = [
    sctp(ports, Uint8Array.from([0, 3, 0, 17, ...new Uint8Array(16)])),
    { protocol: 47, bytes: Uint8Array.from([0, 0, 0x12, 0x34, ...new Uint8Array(random.below(90))]) },
    unreachable,
  ];
  const upper = uppers[random.below(uppers.length)];
  return upper === undefined ? [] : [...send(udp(ports)), ...send(upper, true)];
}
