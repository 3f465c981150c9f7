import type { MetricDefinition } from "@x0tta6bl4/core";

const traffic = ["direction", "protocol", "place"] as const;

/** What the flow table and its BPF programs count. Totals that the kernel keeps begin with the agent's start. */
export const flowsMetrics = {
  flows: {
    name: "x0tta6bl4_flows_total",
    type: "counter",
    help: "Flows opened, by direction of the first packet, protocol and place (local, forwarded, loopback).",
    labels: traffic,
  },
  packets: {
    name: "x0tta6bl4_flows_packets_total",
    type: "counter",
    help: "Packets on the wire, each counted once; a segmented buffer counts its segments.",
    labels: traffic,
  },
  bytes: {
    name: "x0tta6bl4_flows_bytes_total",
    type: "counter",
    help: "Layer-3 bytes on the wire, with the headers that segmentation offload leaves out.",
    labels: traffic,
  },
  active: {
    name: "x0tta6bl4_flows_active",
    type: "gauge",
    help: "Flows in the table that have not ended.",
    labels: [],
  },
  ringLost: {
    name: "x0tta6bl4_flows_ring_lost_events_total",
    type: "counter",
    help: "Events that found no room in the ring buffer.",
    labels: [],
  },
  lostPackets: {
    name: "x0tta6bl4_flows_lost_packets_total",
    type: "counter",
    help: "Packets that the kernel counted and no flow shows: their entry was evicted before it was read.",
    labels: [],
  },
  lostBytes: {
    name: "x0tta6bl4_flows_lost_bytes_total",
    type: "counter",
    help: "Bytes that the kernel counted and no flow shows.",
    labels: [],
  },
  insertFailures: {
    name: "x0tta6bl4_flows_insert_failures_total",
    type: "counter",
    help: "Flows that could not be entered into the kernel's flow map.",
    labels: [],
  },
  notIp: {
    name: "x0tta6bl4_flows_not_ip_packets_total",
    type: "counter",
    help: "Frames that are neither IPv4 nor IPv6 (ARP, LLDP, spanning tree), seen but in no flow.",
    labels: [],
  },
  malformed: {
    name: "x0tta6bl4_flows_malformed_packets_total",
    type: "counter",
    help: "Packets whose headers are truncated or contradict themselves, seen but in no flow.",
    labels: [],
  },
  programEvents: {
    name: "x0tta6bl4_flows_program_events_total",
    type: "counter",
    help: "Packets or socket events that a BPF program handled.",
    labels: ["program"],
  },
  programLost: {
    name: "x0tta6bl4_flows_program_lost_total",
    type: "counter",
    help: "Packets or socket events that a BPF program saw and could not record.",
    labels: ["program"],
  },
  droppedPackets: {
    name: "x0tta6bl4_flows_dropped_packets_total",
    type: "counter",
    help: "Packets that the kernel gave up in observed namespaces, by its own name for the reason.",
    labels: ["reason"],
  },
  connectSeconds: {
    name: "x0tta6bl4_flows_tcp_connect_seconds",
    type: "histogram",
    help: "Time from SYN to established of TCP connections that this host opened.",
    labels: [],
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5],
  },
  retransmits: {
    name: "x0tta6bl4_flows_tcp_retransmitted_segments_total",
    type: "counter",
    help: "TCP segments that this host sent again.",
    labels: [],
  },
  dnsQueries: {
    name: "x0tta6bl4_flows_dns_queries_total",
    type: "counter",
    help: "DNS queries by the response code of their answer; none where no answer came within 5 seconds.",
    labels: ["rcode"],
  },
  dnsSeconds: {
    name: "x0tta6bl4_flows_dns_seconds",
    type: "histogram",
    help: "Time from a DNS query to its answer.",
    labels: [],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  },
  requests: {
    name: "x0tta6bl4_flows_requests_total",
    type: "counter",
    help: "Requests on ports of flows.request_ports, by outcome (ok, error).",
    labels: ["application", "outcome"],
  },
  requestSeconds: {
    name: "x0tta6bl4_flows_request_seconds",
    type: "histogram",
    help: "Time from a request's first packet to its answer's first.",
    labels: ["application"],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  unread: {
    name: "x0tta6bl4_flows_unread_payloads_total",
    type: "counter",
    help: "Payloads that are not what their port says, or damaged.",
    labels: ["application"],
  },
  scans: {
    name: "x0tta6bl4_flows_scans_total",
    type: "counter",
    help: "Findings of port scans (ports), sweeps (hosts) and floods (flood).",
    labels: ["scan"],
  },
  skipped: {
    name: "x0tta6bl4_flows_skipped_events_total",
    type: "counter",
    help: "Payloads, drops and changes of verdicts that the kernel side did not tell one by one, to keep the ring buffer for flows.",
    labels: [],
  },
  forgottenEvents: {
    name: "x0tta6bl4_flows_forgotten_events_total",
    type: "counter",
    help: "Events that found no room on their way to followers.",
    labels: [],
  },
  unrecorded: {
    name: "x0tta6bl4_flows_unrecorded_total",
    type: "counter",
    help: "Records and events that the recording thread did not take in time: they are in no history and no export.",
    labels: [],
  },
  programRunSeconds: {
    name: "x0tta6bl4_flows_program_run_seconds_total",
    type: "counter",
    help: "Time spent in a BPF program; only while the kernel's run-time statistics are on.",
    labels: ["program"],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
