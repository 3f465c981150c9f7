/** Sums of packets and bytes by kind of traffic, and how many of the kernel's are missing. */
import { protocolNumbers } from "../protocols.ts";
import type { Traffic } from "./contract.ts";
import { directionOf, placeOf } from "./describe.ts";
import { type Delta, type Raw, word } from "./table.ts";

const directions = ["ingress", "egress"] as const;
const protocols = ["tcp", "udp", "icmp", "icmpv6", "other"] as const;
const places = ["local", "forwarded", "loopback"] as const;

export interface Tally {
  readonly traffic: readonly Traffic[];
  /** Packets and bytes added so far. */
  readonly packets: number;
  readonly bytes: number;
  add(raw: Raw, delta: Delta): void;
}

export function createTally(): Tally {
  const traffic = directions.flatMap((direction) =>
    protocols.flatMap((protocol) =>
      places.map((place): Traffic => ({ direction, protocol, place, flows: 0, packets: 0, bytes: 0 })),
    ),
  );
  let packets = 0;
  let bytes = 0;
  const entry = (flags: number, protocol: number, side: 0 | 1): Traffic => {
    const direction = directions.indexOf(directionOf(flags, side));
    const place = places.indexOf(placeOf(flags));
    return traffic[
      (direction * protocols.length + protocolIndex(protocol)) * places.length + place
    ] as Traffic;
  };
  return {
    traffic,
    get packets() {
      return packets;
    },
    get bytes() {
      return bytes;
    },
    add(raw, delta) {
      const flags = raw.words[raw.flow + word.flags] as number;
      const protocol = (raw.words[raw.key + word.protocol] as number) & 0xff;
      for (const side of [0, 1] as const) {
        if (delta.packets[side] === 0) continue;
        const sum = entry(flags, protocol, side);
        sum.packets += delta.packets[side];
        sum.bytes += delta.bytes[side];
        packets += delta.packets[side];
        bytes += delta.bytes[side];
      }
      if (delta.fresh) entry(flags, protocol, (flags >>> 6) & 1 ? 1 : 0).flows++;
    },
  };
}

function protocolIndex(number: number): number {
  switch (number) {
    case protocolNumbers.tcp:
      return 0;
    case protocolNumbers.udp:
      return 1;
    case protocolNumbers.icmp:
      return 2;
    case protocolNumbers.icmpv6:
      return 3;
    default:
      return 4;
  }
}
