import type { MetricDefinition } from "@x0tta6bl4/core";

const traffic = ["direction", "protocol", "place"] as const;
export type TrafficLabel = (typeof traffic)[number];

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
  programRunSeconds: {
    name: "x0tta6bl4_flows_program_run_seconds_total",
    type: "counter",
    help: "Time spent in a BPF program; only while the kernel's run-time statistics are on.",
    labels: ["program"],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
