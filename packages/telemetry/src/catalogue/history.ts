import type { MetricDefinition } from "@x0tta6bl4/core";

/** What the history of flows keeps on disk, and what it could not keep. */
export const historyMetrics = {
  rows: {
    name: "x0tta6bl4_flows_history_rows_total",
    type: "counter",
    help: "Rows written: each flow at its end, and as it was while it went on.",
    labels: [],
  },
  bytes: {
    name: "x0tta6bl4_flows_history_bytes",
    type: "gauge",
    help: "What the files of the history take on disk.",
    labels: [],
  },
  oldest: {
    name: "x0tta6bl4_flows_history_oldest_timestamp_seconds",
    type: "gauge",
    help: "Unix time at which the oldest flow that is kept began.",
    labels: [],
  },
  writeErrors: {
    name: "x0tta6bl4_flows_history_write_errors_total",
    type: "counter",
    help: "Writes that failed, of every few seconds; what waited is written with the next, as far as there is room.",
    labels: [],
  },
  lost: {
    name: "x0tta6bl4_flows_history_lost_total",
    type: "counter",
    help: "Records and events that were not kept: nothing could be written, or events were too many for their second.",
    labels: [],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
