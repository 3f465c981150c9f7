export type { Agent, AgentOptions, Outcome } from "./agent.ts";
export { runX0, startAgent } from "./agent.ts";
export type { Capture, Captured, CapturedEndpoint, CapturedFlow } from "./capture.ts";
export { capture, readCapture } from "./capture.ts";
export type { Cgroup } from "./cgroup.ts";
export { createCgroup, findCgroup2 } from "./cgroup.ts";
export type { ChurnOptions, ChurnReport } from "./children/churn.ts";
export type { LossCounts, LossOptions } from "./children/loss.ts";
export type { PingOptions, PingReport } from "./children/ping.ts";
export type { RelayContract, RelayOptions, RelayReport } from "./children/relay.ts";
export type { TcpConnection, TcpReport, TcpServerContract } from "./children/tcp.ts";
export type { UdpReport } from "./children/udp.ts";
export type { Knock, WorkloadSocketsContract } from "./children/workload-sockets.ts";
export type { Loss, QueueCounters, RateLimit, RateOptions } from "./faults.ts";
export { delayRelay, dropPackets, limitRate } from "./faults.ts";
export type { FrameSender } from "./frames.ts";
export { churn, frameSender, swallow } from "./frames.ts";
export type { Link, LinkCounters, Namespace } from "./namespace.ts";
export { createNamespace } from "./namespace.ts";
export type { CommandOptions, Output, Place, Places, Running, Script, ScriptContract } from "./process.ts";
export { isAlive, run, start, startScript } from "./process.ts";
export type { KernelFeature, Skippable } from "./requirements.ts";
export { isInstalled, missingKernel, requireKernel } from "./requirements.ts";
export type { Sockets, Talker } from "./sockets.ts";
export { openSockets } from "./sockets.ts";
export type { Bridged, Interface, LinkOptions, Pair, PortForward, Routed } from "./topology.ts";
export {
  acquaint,
  bridge,
  connect,
  forwardPort,
  macvlan,
  masquerade,
  noOffloads,
  pair,
  route,
  vlan,
} from "./topology.ts";
export type { ShortLived, TcpOptions, TcpTraffic, UdpOptions, UdpTraffic } from "./traffic.ts";
export { ping, shortLivedConnection, tcpServer, tcpTraffic, udpTraffic } from "./traffic.ts";
