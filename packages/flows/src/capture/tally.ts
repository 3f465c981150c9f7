/** Sums of flows, packets and bytes by kind of traffic. */
import { flowFlag } from "../generated/layout.ts";
import { protocolNumbers } from "../protocols.ts";
import type { Traffic } from "./contract.ts";
import { directionOf, placeOf } from "./describe.ts";
import { type Delta, protocolOf } from "./table.ts";

const directions = ["ingress", "egress"] as const;
const protocols = ["tcp", "udp", "icmp", "icmpv6", "other"] as const;
/** Flags that tell direction and place lie in the low 7 bits. */
const FLAG_VALUES = 128;
const places = ["local", "forwarded", "loopback"] as const;

export interface Tally {
  traffic(): readonly Traffic[];
  /** Packets and bytes added so far. */
  readonly packets: number;
  readonly bytes: number;
  /**
   * @param flags of the flow, by which each side's packets have a direction and a place.
   * @param kind the word of its key that tells the protocol.
   */
  add(flags: number, kind: number, delta: Delta, fresh: boolean): void;
}

export function createTally(): Tally {
  const kinds = directions.length * protocols.length * places.length;
  const flows = new Float64Array(kinds);
  const packets = new Float64Array(kinds);
  const bytes = new Float64Array(kinds);
  // Direction and place of each side's packets, by the flag bits that tell: looked up, since this runs per flow and read.
  const kindsOfFlags = Uint8Array.from({ length: 2 * FLAG_VALUES }, (_, index) => {
    const flags = index % FLAG_VALUES;
    const side = index < FLAG_VALUES ? 0 : 1;
    return (
      directions.indexOf(directionOf(flags, side)) * protocols.length * places.length +
      places.indexOf(placeOf(flags))
    );
  });
  const kindOf = (flags: number, protocol: number, side: 0 | 1): number =>
    (kindsOfFlags[(flags & (FLAG_VALUES - 1)) + side * FLAG_VALUES] as number) +
    protocolIndex(protocol) * places.length;
  const sum = (values: Float64Array): number => values.reduce((total, value) => total + value, 0);
  return {
    traffic: () =>
      directions.flatMap((direction, d) =>
        protocols.flatMap((protocol, p) =>
          places.map((place, q): Traffic => {
            const kind = (d * protocols.length + p) * places.length + q;
            const [f, n, b] = [flows, packets, bytes].map((sums) => sums[kind] as number) as [
              number,
              number,
              number,
            ];
            return { direction, protocol, place, flows: f, packets: n, bytes: b };
          }),
        ),
      ),
    get packets() {
      return sum(packets);
    },
    get bytes() {
      return sum(bytes);
    },
    add(flags, kind, delta, fresh) {
      const protocol = protocolOf(kind);
      if (delta[0] !== 0) {
        const at = kindOf(flags, protocol, 0);
        packets[at] = (packets[at] as number) + (delta[0] as number);
        bytes[at] = (bytes[at] as number) + (delta[2] as number);
      }
      if (delta[1] !== 0) {
        const at = kindOf(flags, protocol, 1);
        packets[at] = (packets[at] as number) + (delta[1] as number);
        bytes[at] = (bytes[at] as number) + (delta[3] as number);
      }
      if (!fresh) return;
      const at = kindOf(flags, protocol, flags & flowFlag.firstSender ? 1 : 0);
      flows[at] = (flows[at] as number) + 1;
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
