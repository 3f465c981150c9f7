import type { MetricDefinition } from "@x0tta6bl4/core";

const sink = ["sink"] as const;

/** What the exports of flows did; `sink` is where one goes, as its setting says. */
export const exportsMetrics = {
  records: {
    name: "x0tta6bl4_flows_export_records_total",
    type: "counter",
    help: "Records handed to the peer or the file: JSON lines, log records, IPFIX data records.",
    labels: sink,
  },
  bytes: {
    name: "x0tta6bl4_flows_export_bytes_total",
    type: "counter",
    help: "Bytes of these records before compression and without what transports add.",
    labels: sink,
  },
  dropped: {
    name: "x0tta6bl4_flows_export_dropped_records_total",
    type: "counter",
    help: "Records that were not exported: queue_full, rejected by the peer, unreachable (UDP), unsent at the end.",
    labels: ["sink", "reason"],
  },
  retries: {
    name: "x0tta6bl4_flows_export_retries_total",
    type: "counter",
    help: "Attempts that failed and were made again.",
    labels: sink,
  },
  queued: {
    name: "x0tta6bl4_flows_export_queued_records",
    type: "gauge",
    help: "Records that wait for their peer.",
    labels: sink,
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
