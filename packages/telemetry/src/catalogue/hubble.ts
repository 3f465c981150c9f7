import type { MetricDefinition } from "@x0tta6bl4/core";

/**
 * The metrics of Hubble under its own names and labels, not ours, so that dashboards made for Hubble show data.
 * `flows.hubble_metrics` chooses among them and may add labels of source and destination; where a name is ill chosen by
 * Prometheus' rules, it stays Hubble's.
 */
export const hubbleMetrics = {
  flowsProcessed: {
    name: "hubble_flows_processed_total",
    type: "counter",
    help: "Flows of Hubble, several a connection: openings, replies, signs of life, ends, drops, requests.",
    labels: ["protocol", "type", "subtype", "verdict"],
  },
  drops: {
    name: "hubble_drop_total",
    type: "counter",
    help: "Packets that the kernel dropped, by the nearest of Cilium's reasons.",
    labels: ["reason", "protocol"],
  },
  dnsQueries: {
    name: "hubble_dns_queries_total",
    type: "counter",
    help: "DNS questions seen.",
    labels: ["rcode", "qtypes", "ips_returned"],
  },
  dnsResponses: {
    name: "hubble_dns_responses_total",
    type: "counter",
    help: "DNS answers seen, by the name of their response code.",
    labels: ["rcode", "qtypes", "ips_returned"],
  },
  dnsResponseTypes: {
    name: "hubble_dns_response_types_total",
    type: "counter",
    help: "Records in DNS answers, by type.",
    labels: ["type", "qtypes"],
  },
  tcpFlags: {
    name: "hubble_tcp_flags_total",
    type: "counter",
    help: "TCP flags in flows of Hubble: SYN, SYN-ACK, FIN, RST.",
    labels: ["flag", "family"],
  },
  icmp: {
    name: "hubble_icmp_total",
    type: "counter",
    help: "ICMP messages in flows of Hubble, by name.",
    labels: ["family", "type"],
  },
  policyVerdicts: {
    name: "hubble_policy_verdicts_total",
    type: "counter",
    help: "Connections that a rule or default deny decided about, by what the rule matches.",
    labels: ["direction", "match", "action"],
  },
  portDistribution: {
    name: "hubble_port_distribution_total",
    type: "counter",
    help: "Flows of Hubble towards each destination port.",
    labels: ["protocol", "port"],
  },
  flowsToWorld: {
    name: "hubble_flows_to_world_total",
    type: "counter",
    help: "Flows of Hubble to addresses that are not this host's.",
    labels: ["protocol", "verdict"],
  },
  httpRequests: {
    name: "hubble_http_requests_total",
    type: "counter",
    help: "HTTP requests, counted with their answers by httpV2, by themselves by http.",
    labels: ["method", "protocol", "reporter"],
  },
  httpResponses: {
    name: "hubble_http_responses_total",
    type: "counter",
    help: "HTTP answers; only with the metric http.",
    labels: ["method", "protocol", "status", "reporter"],
  },
  httpDuration: {
    name: "hubble_http_request_duration_seconds",
    type: "histogram",
    help: "Time from an HTTP request's first byte to its answer's.",
    labels: ["method", "reporter"],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  },
  lostEvents: {
    name: "hubble_lost_events_total",
    type: "counter",
    help: "Events that are in no flow, by where they were lost.",
    labels: ["source"],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
