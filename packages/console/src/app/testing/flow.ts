import type { Flow, FlowProcess } from "../shapes.ts";

/** A flow of a test: curl asks 10.0.0.1:443, unless said otherwise. */
export function flow(change: Partial<Flow> = {}): Flow {
  const at = "2026-01-31T08:00:00.000Z";
  return {
    id: "1",
    state: "active",
    start: at,
    end: at,
    source: { ip: "10.0.0.2", port: 50_000, name: null },
    destination: { ip: "10.0.0.1", port: 443, name: null },
    protocol: "tcp",
    icmp: null,
    direction: "egress",
    place: "local",
    netns: 1,
    interface: "eth0",
    verdict: "forwarded",
    rule: null,
    bytes: { sent: 1000, received: 250 },
    packets: { sent: 2, received: 1 },
    tcpFlags: [],
    cookie: null,
    process: process(),
    peerProcess: null,
    translated: null,
    application: null,
    tcp: null,
    tls: null,
    requests: null,
    drops: null,
    ...change,
  };
}

export function process(change: Partial<FlowProcess> = {}): FlowProcess {
  return {
    pid: 7,
    comm: "curl",
    executable: "/usr/bin/curl",
    cgroup: null,
    unit: null,
    container: null,
    ...change,
  };
}
