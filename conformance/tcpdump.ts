/**
 * A live agent against tcpdump on the same interface: mixed traffic between two namespaces, and our flows as its HTTP
 * API gives them have tcpdump's packets and layer-3 bytes, flow by flow and way by way.
 */
import type { FlowList } from "../packages/flows/src/flow.ts";
import { captured, oneWay } from "../packages/flows/src/testing/observed.ts";
import { capture, isInstalled, missingKernel, pair, startAgent, udpTraffic } from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";
import { difference, mixedTraffic } from "./lib/ways.ts";

export async function run(): Promise<ConformanceResult> {
  for (const tool of ["tcpdump", "tshark"])
    if (!(await isInstalled(tool))) return { outcome: "skipped", reason: `${tool} is not installed` };
  const lack = await missingKernel("netns", "bpf", "btf");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  await using net = await pair();
  const { client, server, right } = net;
  await using agent = await startAgent({ places: server });
  await agent.observes(2);
  await using tcpdump = await capture(server, "eth0");
  const fragmented: number[] = [];
  for (const ip of ["ipv4", "ipv6"] as const) {
    const host = right[ip];
    await mixedTraffic(net, ip);
    await udpTraffic({ sender: client, receivers: [], host, port: 9, count: 5, sizeBytes: 100 });
    const large = { sender: client, receivers: [server], host, count: 5, sizeBytes: 9000 };
    fragmented.push((await udpTraffic(large)).port);
  }
  const theirs = captured((await tcpdump.stop()).flows, fragmented);
  const { flows } = await agent.get<FlowList>("/api/v1/flows?limit=10000");
  const reason = difference("tcpdump", theirs, oneWay(flows));
  if (reason !== undefined) return { outcome: "failed", reason };
  return { outcome: "passed", reason: `${Object.keys(theirs).length} ways of ${flows.length} flows` };
}
