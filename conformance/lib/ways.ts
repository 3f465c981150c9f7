/** What peers that count a live interface are compared by: the same traffic, and packets and bytes of each way of it. */
import { type Pair, ping, tcpTraffic, udpTraffic } from "../../test/lab/index.ts";

/** Packets and layer-3 bytes, by one way of a conversation. */
export type Ways = Record<string, { packets: number; bytes: number }>;

/** Traffic of each kind over one IP version, none of it in fragments. */
export async function mixedTraffic(
  { client, server, left, right }: Pair,
  ip: "ipv4" | "ipv6",
): Promise<void> {
  const host = right[ip];
  for (const [requestBytes, writeBytes] of [
    [100, 1],
    [500_000, 65_536],
  ] as const)
    await tcpTraffic({ client, server, host, connections: 3, requestBytes, writeBytes, replyBytes: 10_000 });
  await tcpTraffic({ client: server, server: client, host: left[ip], requestBytes: 3000 });
  await udpTraffic({ sender: client, receivers: [server], host, count: 50, sizeBytes: 700, echo: true });
  await ping(client, { host, count: 4 });
}

/** The first way on which a peer and we differ; undefined where there is none. */
export function difference(peer: string, theirs: Ways, ours: Ways): string | undefined {
  for (const way of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [seen, told] = [theirs, ours].map((side) => JSON.stringify(side[way] ?? "nothing"));
    if (seen !== told) return `${way}: ${peer} ${seen}, we ${told}`;
  }
  return undefined;
}
