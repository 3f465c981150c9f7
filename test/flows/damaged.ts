/** What the decoder of replays says of frames, packet for packet, to compare with what the kernel's programs counted. */
import { formatAddress } from "../../packages/flows/src/address.ts";
import type { Flow } from "../../packages/flows/src/flow.ts";
import { protocolName } from "../../packages/flows/src/protocols.ts";
import { decodePacket, linkType } from "../../packages/flows/src/replay/packet.ts";
import { partiesOfFragments } from "../../packages/flows/src/replay/parties.ts";
import { oneWay } from "../../packages/flows/src/testing/observed.ts";

type Sums = Record<string, { packets: number; bytes: number }>;

export interface Oracle {
  see(frame: Uint8Array): void;
  /** Packets and bytes of each way of each conversation. */
  readonly ways: Sums;
  /** Frames that hold no IP packet. */
  readonly others: number;
}

export function packetOracle(): Oracle {
  const partiesOf = partiesOfFragments();
  const ways: Sums = {};
  let others = 0;
  return {
    ways,
    get others() {
      return others;
    },
    see(frame) {
      const packet = decodePacket(linkType.ETHERNET, frame, frame.length);
      if (packet === undefined) {
        others++;
        return;
      }
      const parties = partiesOf(packet);
      const hasPorts = parties.icmp === null;
      const end = (address: Uint8Array, port: number): string =>
        `${formatAddress(address)} ${hasPorts ? port : 0}`;
      const name = protocolName(parties.protocol);
      const way = `${name} ${end(packet.source, parties.sourcePort)} > ${end(packet.destination, parties.destinationPort)}`;
      const sum = ways[way] ?? { packets: 0, bytes: 0 };
      ways[way] = { packets: sum.packets + 1, bytes: sum.bytes + packet.bytes };
    },
  };
}

/** Ways on which both differ, a few of them, for a message. */
export function differences(counted: readonly Flow[], { ways }: Oracle): readonly string[] {
  const ours = oneWay(counted);
  const text = (sum: { packets: number; bytes: number } | undefined): string =>
    sum === undefined ? "none" : `${sum.packets} packets of ${sum.bytes} bytes`;
  return [...new Set([...Object.keys(ours), ...Object.keys(ways)])]
    .filter((way) => text(ours[way]) !== text(ways[way]))
    .map((way) => `${way}: counted ${text(ours[way])}, sent ${text(ways[way])}`);
}
