/**
 * A live agent against tcpdump on the same interface: mixed traffic between two namespaces, and our flows as its HTTP
 * API gives them have tcpdump's packets and layer-3 bytes, flow by flow and way by way.
 */
import type { FlowList } from "../packages/flows/src/flow.ts";
import { captured, oneWay } from "../packages/flows/src/testing/observed.ts";
import {
  capture,
  connect,
  createNamespace,
  isInstalled,
  missingKernel,
  type Namespace,
  ping,
  startAgent,
  tcpTraffic,
  udpTraffic,
} from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";

export async function run(): Promise<ConformanceResult> {
  for (const tool of ["tcpdump", "tshark"])
    if (!(await isInstalled(tool))) return { outcome: "skipped", reason: `${tool} is not installed` };
  const lack = await missingKernel("netns", "bpf", "btf");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [left, right] = await connect(client, server, { offloads: false });
  await using agent = await startAgent({ places: server });
  await agent.observes(2);
  await using tcpdump = await capture(server, "eth0");
  const fragmented = [
    await everything(client, server, left.ipv4, right.ipv4),
    await everything(client, server, left.ipv6, right.ipv6),
  ];
  const theirs = captured((await tcpdump.stop()).flows, fragmented);
  const { flows } = await agent.get<FlowList>("/api/v1/flows?limit=10000");
  const ours = oneWay(flows);
  for (const key of new Set([...Object.keys(theirs), ...Object.keys(ours)])) {
    const [seen, told] = [theirs, ours].map((side) => JSON.stringify(side[key] ?? "nothing"));
    if (seen !== told) return { outcome: "failed", reason: `${key}: tcpdump ${seen}, we ${told}` };
  }
  return { outcome: "passed", reason: `${Object.keys(theirs).length} ways of ${flows.length} flows` };
}

/** @returns the port to which fragmented datagrams went. */
async function everything(client: Namespace, server: Namespace, back: string, host: string): Promise<number> {
  for (const [requestBytes, writeBytes] of [
    [100, 1],
    [500_000, 65_536],
  ] as const)
    await tcpTraffic({ client, server, host, connections: 3, requestBytes, writeBytes, replyBytes: 10_000 });
  await tcpTraffic({ client: server, server: client, host: back, requestBytes: 3000 });
  await udpTraffic({ sender: client, receivers: [server], host, count: 50, sizeBytes: 700, echo: true });
  await udpTraffic({ sender: client, receivers: [], host, port: 9, count: 5, sizeBytes: 100 });
  await ping(client, { host, count: 4 });
  const { port } = await udpTraffic({ sender: client, receivers: [server], host, count: 5, sizeBytes: 9000 });
  return port;
}
