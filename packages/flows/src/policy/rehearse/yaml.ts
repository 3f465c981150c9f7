/** Suggested policies as the YAML that the language reads; text of others is quoted as JSON is, which YAML reads. */
import { printable } from "@x0tta6bl4/core";
import { formatAddress, isMappedIPv4 } from "../../address.ts";
import { policyLimits } from "../language/limits.ts";
import type { Labels, Prefix } from "../model.ts";
import type { PortRange, SuggestedRule, SuggestedSection } from "./rules.ts";

export interface SuggestedDocument {
  readonly name: string;
  /** Workloads by their labels, this node by its own. */
  readonly subject: { readonly kind: "endpoint" | "node"; readonly labels: Labels };
  /** For whoever reads it. */
  readonly about: string;
  readonly sections: readonly SuggestedSection[];
}

/** @param head lines above all of it. */
export function policiesYaml(head: readonly string[], documents: readonly SuggestedDocument[]): string {
  const above = head.map((line) => (line === "" ? "#\n" : `# ${printable(line)}\n`)).join("");
  return `${above}${documents.map((document) => `---\n${documentYaml(document)}`).join("")}`;
}

function documentYaml({ name, subject, about, sections }: SuggestedDocument): string {
  const lines = [
    "apiVersion: cilium.io/v2",
    "kind: CiliumClusterwideNetworkPolicy",
    "metadata:",
    `  name: ${text(name)}`,
    "spec:",
    `  description: ${text(about)}`,
    `  ${subject.kind}Selector:`,
    "    matchLabels:",
    ...Object.entries(subject.labels).map(([key, value]) => `      ${text(key)}: ${text(value)}`),
  ];
  const empty = sections.filter(({ rules }) => rules.length === 0);
  if (empty.length > 0) {
    lines.push("  # Where no flow was recorded, everything is denied.", "  enableDefaultDeny:");
    for (const { isEgress } of empty) lines.push(`    ${isEgress ? "egress" : "ingress"}: true`);
  }
  for (const { isEgress, rules } of sections) {
    if (rules.length === 0) continue;
    lines.push(`  ${isEgress ? "egress" : "ingress"}:`);
    for (const rule of rules) lines.push(...ruleLines(rule, isEgress));
  }
  return `${lines.join("\n")}\n`;
}

function ruleLines(rule: SuggestedRule, isEgress: boolean): string[] {
  const { flows, lastMs, note } = rule;
  const used =
    flows === 0
      ? "no flow"
      : `${flows} ${flows === 1 ? "flow" : "flows"}, the last at ${new Date(lastMs).toISOString()}`;
  return [
    `    # ${used}${note === undefined ? "" : `; ${note}`}`,
    ...peerLines(rule, isEgress ? "to" : "from").map(
      (line, index) => `    ${index === 0 ? "- " : "  "}${line}`,
    ),
    ...portLines(rule.ports).map((line) => `      ${line}`),
  ];
}

function peerLines({ peers }: SuggestedRule, way: "from" | "to"): string[] {
  switch (peers.kind) {
    case "entities":
      return [`${way}Entities:`, ...peers.entities.map((entity) => `  - ${entity}`)];
    case "names":
      return [`${way}FQDNs:`, ...peers.names.map((name) => `  - matchName: ${text(name)}`)];
    case "cidrs":
      return [`${way}CIDR:`, ...peers.prefixes.map((prefix) => `  - ${text(formatPrefix(prefix))}`)];
    case "nodes": {
      const [key, values] = peers.label;
      if (values.length === 1)
        return [`${way}Nodes:`, "  - matchLabels:", `      ${text(key)}: ${text(values[0] as string)}`];
      return [
        `${way}Nodes:`,
        "  - matchExpressions:",
        `      - key: ${text(key)}`,
        "        operator: In",
        "        values:",
        ...values.map((value) => `          - ${text(value)}`),
      ];
    }
  }
}

function portLines(ports: readonly PortRange[] | undefined): string[] {
  if (ports === undefined) return [];
  const isIcmp = ports.some(({ protocol }) => protocol === "icmp" || protocol === "icmpv6");
  return isIcmp
    ? [
        "icmps:",
        ...parts(ports, policyLimits.icmpTypes).flatMap((part) => [
          "  - fields:",
          ...part.flatMap(icmpLines),
        ]),
      ]
    : [
        "toPorts:",
        ...parts(ports, policyLimits.ports).flatMap((part) => ["  - ports:", ...part.flatMap(rangeLines)]),
      ];
}

function icmpLines({ protocol, first }: PortRange): string[] {
  return [`      - type: ${first}`, ...(protocol === "icmpv6" ? ["        family: IPv6"] : [])];
}

function rangeLines({ protocol, first, last }: PortRange): string[] {
  const isEvery = first === 0 && last === 65_535;
  return [
    `      - port: ${text(String(first))}`,
    ...(first === last || isEvery ? [] : [`        endPort: ${last}`]),
    `        protocol: ${protocol.toUpperCase()}`,
  ];
}

function parts<T>(list: readonly T[], most: number): T[][] {
  return Array.from({ length: Math.ceil(list.length / most) }, (_, index) =>
    list.slice(index * most, (index + 1) * most),
  );
}

function formatPrefix({ bytes, bits }: Prefix): string {
  return `${formatAddress(bytes)}/${isMappedIPv4(bytes) && bits >= 96 ? bits - 96 : bits}`;
}

function text(value: string): string {
  return JSON.stringify(value);
}
