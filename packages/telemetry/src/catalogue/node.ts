import type { MetricDefinition } from "@x0tta6bl4/core";

/** What the agent says about itself. */
export const nodeMetrics = {
  buildInfo: {
    name: "x0tta6bl4_build_info",
    type: "gauge",
    help: "Always 1; the labels say which x0tta6bl4 on which Node.js runs.",
    labels: ["version", "node_version"],
  },
  startTime: {
    name: "x0tta6bl4_node_start_time_seconds",
    type: "gauge",
    help: "When the agent's process started, in seconds since the Unix epoch.",
    labels: [],
  },
  uptime: {
    name: "x0tta6bl4_node_uptime_seconds",
    type: "gauge",
    help: "How long the agent's process has been running.",
    labels: [],
  },
  cpuSeconds: {
    name: "x0tta6bl4_node_cpu_seconds_total",
    type: "counter",
    help: "Processor time of the agent, all threads, in user space and in the kernel.",
    labels: ["mode"],
  },
  residentMemory: {
    name: "x0tta6bl4_node_resident_memory_bytes",
    type: "gauge",
    help: "Memory of the agent that is in RAM.",
    labels: [],
  },
  eventLoopDelay: {
    name: "x0tta6bl4_node_event_loop_delay_seconds",
    type: "gauge",
    help: "How late the main thread's timers ran in the last ten seconds: p50, p99, max.",
    labels: ["statistic"],
  },
  health: {
    name: "x0tta6bl4_node_health",
    type: "gauge",
    help: "1 for the state in which a part, or a feature of it, is; 0 for the others. The feature is empty for the part as a whole.",
    labels: ["part", "feature", "state"],
  },
  httpRequests: {
    name: "x0tta6bl4_http_requests_total",
    type: "counter",
    help: "HTTP requests answered; `unmatched` where no route is.",
    labels: ["route", "method", "status"],
  },
  httpDuration: {
    name: "x0tta6bl4_http_request_duration_seconds",
    type: "histogram",
    help: "Time from a request's arrival to the end of its answer; streams are not in it.",
    labels: ["route", "method"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  },
  httpStreamDropped: {
    name: "x0tta6bl4_http_stream_dropped_events_total",
    type: "counter",
    help: "Server-sent events that were not sent because the client read too slowly.",
    labels: ["route"],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
