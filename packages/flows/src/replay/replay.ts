import { flowsFail } from "../errors.ts";
import type { FlowChange } from "../flow.ts";
import { type AccountOptions, accountFlows } from "./account.ts";
import { decodePacket, isSupportedLinkType } from "./packet.ts";
import type { CapturedPacket } from "./pcap.ts";

/** What a replay has read so far; complete when its iteration is over. */
export interface ReplayTotals {
  packets: number;
  /** Frames that carry no IP: ARP, other EtherTypes, malformed headers. */
  notIp: number;
  /** Frames of link types that cannot be read, by type. */
  readonly unsupported: Map<number, number>;
  /** Flows ended early because too many were open at once. */
  evicted: number;
}

export type ReplayOptions = Pick<AccountOptions, "lingerMs" | "idleMs" | "openFlows">;

export function replayTotals(): ReplayTotals {
  return { packets: 0, notIp: 0, unsupported: new Map(), evicted: 0 };
}

/**
 * The flows of a capture: `start` for each when it begins, `end` when it has ended, `update` for what is still open
 * when the capture is over. A fault of the capture is thrown after the flows of what came before it.
 *
 * @throws what `packets` throws; X0_FLOWS_CAPTURE_UNSUPPORTED if there are packets, all of unreadable link types.
 */
export async function* replayFlows(
  packets: AsyncIterable<CapturedPacket>,
  totals: ReplayTotals,
  options: ReplayOptions = {},
): AsyncGenerator<FlowChange> {
  let changes: FlowChange[] = [];
  const account = accountFlows({
    ...options,
    onStart: (flow) => changes.push({ change: "start", flow }),
    onFlow: (flow) => changes.push({ change: flow.state === "ended" ? "end" : "update", flow }),
  });
  let fault: { readonly error: unknown } | undefined;
  try {
    for await (const { linkType, data, originalLength, timestampNs, interfaceName } of packets) {
      totals.packets++;
      if (!isSupportedLinkType(linkType)) {
        totals.unsupported.set(linkType, (totals.unsupported.get(linkType) ?? 0) + 1);
        continue;
      }
      const packet = decodePacket(linkType, data, originalLength);
      if (packet === undefined) {
        totals.notIp++;
        continue;
      }
      account.add(packet, timestampNs, interfaceName ?? "");
      totals.evicted = account.evicted;
      if (changes.length === 0) continue;
      yield* changes;
      changes = [];
    }
  } catch (error) {
    fault = { error };
  }
  account.finish();
  yield* changes;
  if (fault !== undefined) throw fault.error;
  const [linkType, count] = totals.unsupported.entries().next().value ?? [0, 0];
  if (count > 0 && sum(totals.unsupported.values()) === totals.packets)
    throw flowsFail(
      "X0_FLOWS_CAPTURE_UNSUPPORTED",
      `no packet is of a link type that x0 reads (type ${linkType})`,
      {
        hint: "x0 reads Ethernet, raw IP, BSD loopback and Linux cooked captures: https://www.tcpdump.org/linktypes.html",
      },
    );
}

function sum(values: Iterable<number>): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}
