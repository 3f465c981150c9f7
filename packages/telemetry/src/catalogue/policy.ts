import type { MetricDefinition } from "@x0tta6bl4/core";

const rule = ["policy", "path", "decision"] as const;

/**
 * What policies decided. `path` is where the rule stands in its policy, `spec.ingress[0]`, or the section whose default
 * deny it was, `spec.ingress`; beyond 2,000 rules with figures the rest is one, `(other)`.
 */
export const policyMetrics = {
  flows: {
    name: "x0tta6bl4_policy_flows_total",
    type: "counter",
    help: "Flows by the rule that decided on them and its decision (allow, audit, deny).",
    labels: rule,
  },
  packets: {
    name: "x0tta6bl4_policy_packets_total",
    type: "counter",
    help: "Packets by the rule that decided on them and its decision.",
    labels: rule,
  },
  bytes: {
    name: "x0tta6bl4_policy_bytes_total",
    type: "counter",
    help: "Layer-3 bytes by the rule that decided on them and its decision.",
    labels: rule,
  },
  enforced: {
    name: "x0tta6bl4_policy_enforced",
    type: "gauge",
    help: "1 while the applied policies are in force in the kernel, 0 while they are only stored.",
    labels: [],
  },
  generation: {
    name: "x0tta6bl4_policy_generation",
    type: "gauge",
    help: "Number of the generation of policies that holds, 0 where nothing was ever applied.",
    labels: [],
  },
  documents: {
    name: "x0tta6bl4_policy_documents",
    type: "gauge",
    help: "Documents that are applied, by mode (enforced, audit).",
    labels: ["mode"],
  },
  entries: {
    name: "x0tta6bl4_policy_entries",
    type: "gauge",
    help: "Entries of the kernel's table in which the policies stand.",
    labels: [],
  },
  unconfirmedSeconds: {
    name: "x0tta6bl4_policy_unconfirmed_seconds",
    type: "gauge",
    help: "Time until what was applied falls back unless it is confirmed; 0 where nothing waits.",
    labels: [],
  },
  verdicts: {
    name: "x0tta6bl4_policy_verdicts_total",
    type: "counter",
    help: "Times that the policies were asked; packets of a known flow ask once a generation.",
    labels: [],
  },
  unremembered: {
    name: "x0tta6bl4_policy_unremembered_connections_total",
    type: "counter",
    help: "Allowed connections that found no room in the kernel: their answers are judged like new packets.",
    labels: [],
  },
  related: {
    name: "x0tta6bl4_policy_related_packets_total",
    type: "counter",
    help: "ICMP errors that passed because they belong to an allowed connection.",
    labels: [],
  },
  connections: {
    name: "x0tta6bl4_policy_connections",
    type: "gauge",
    help: "Allowed connections that the kernel remembers.",
    labels: [],
  },
  nameMessages: {
    name: "x0tta6bl4_policy_name_messages_total",
    type: "counter",
    help: "DNS messages for names that policies select: query and answer of resolvers; stranger (a query to another server), unasked (an answer without a query), malformed.",
    labels: ["kind"],
  },
  nameAddresses: {
    name: "x0tta6bl4_policy_name_addresses",
    type: "gauge",
    help: "Addresses that are admitted because an answer gave them for a selected name.",
    labels: [],
  },
  nameAddressesFull: {
    name: "x0tta6bl4_policy_name_addresses_without_room_total",
    type: "counter",
    help: "Addresses of selected names that found no room in the kernel, or already have eight names.",
    labels: [],
  },
  nameEncrypted: {
    name: "x0tta6bl4_policy_name_encrypted_connections",
    type: "gauge",
    help: "Open connections to resolvers over TLS or HTTPS, whose answers cannot be seen; counted while names are in force.",
    labels: [],
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;
