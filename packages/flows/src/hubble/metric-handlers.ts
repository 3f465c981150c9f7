/**
 * What each of Hubble's metrics counts in a flow. A handler names the series to count into, so that whoever meets the
 * same kind of flow again need not ask.
 */

import type { MetricDefinition } from "@x0tta6bl4/core";
import { hubbleMetrics } from "@x0tta6bl4/telemetry";
import { protocolNumbers } from "../protocols.ts";
import { ruleMatches } from "../recording/record.ts";
import type { Values } from "./codec.ts";
import { icmpName } from "./icmp-name.ts";
import { contextLabelNames, contextLabelValues } from "./metric-contexts.ts";
import type { MetricChoice, MetricName } from "./metric-options.ts";
import { type Count, createSeries, type Series } from "./metric-series.ts";
import { dropReason, eventType, ipVersion, l7FlowType, trafficDirection, verdict } from "./schema.ts";

export interface Handler {
  /** Series to count one into for such a flow. */
  counts(flow: Values): readonly Count[];
  /** Seconds to put into the histogram of such a flow. */
  readonly observe?: (flow: Values) => Observation | undefined;
  readonly series: readonly Series[];
  /** Where a packet that a connection's source sent counts, if protocol and port alone tell it. */
  readonly byPort?: (protocol: number, port: number) => Count | undefined;
  /** Whether flows of one shape (protocol, flags, ICMP's type, direction) count alike: without ports and ends. */
  readonly byShape: boolean;
  /** Whether nothing but the first packet of a connection counts. */
  readonly onlyOpenings?: boolean;
}

export interface Observation {
  readonly metric: MetricDefinition;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

type Make = (choice: MetricChoice) => Omit<Handler, "byShape">;

export function createHandler(choice: MetricChoice): Handler {
  const handler = makers[choice.name](choice);
  const hasEnds = contextLabelNames(choice.contexts).length > 0;
  const isOfShape = !hasEnds && handler.byPort === undefined && !choice.flags.has("port");
  return { ...handler, byShape: isOfShape && handler.onlyOpenings !== true };
}

const names = {
  drop: verdict.numbers["DROPPED"],
  forwarded: verdict.numbers["FORWARDED"],
  request: l7FlowType.numbers["REQUEST"],
  response: l7FlowType.numbers["RESPONSE"],
};

/** One series a metric, of whose labels the contexts' come last. */
function counter(
  definition: MetricDefinition,
  { contexts }: MetricChoice,
  more: readonly string[] = [],
  inverted = false,
) {
  const series = createSeries(definition, [...more, ...contextLabelNames(contexts)]);
  const at = (flow: Values, ...values: readonly string[]): Count =>
    series.at([...values, ...contextLabelValues(contexts, flow, inverted)]);
  return { series, at };
}

const makers: Readonly<Record<MetricName, Make>> = {
  flow(choice) {
    const { series, at } = counter(hubbleMetrics.flowsProcessed, choice);
    return {
      series: [series],
      counts: (flow) => [
        at(flow, protocolOf(flow), ...typeOf(flow), verdict.names.get(flow["verdict"]) ?? ""),
      ],
    };
  },
  drop(choice) {
    const { series, at } = counter(hubbleMetrics.drops, choice);
    return {
      series: [series],
      counts: (flow) =>
        flow["verdict"] === names.drop
          ? [at(flow, dropReason.names.get(flow["drop_reason_desc"] ?? 0) ?? "", protocolOf(flow))]
          : [],
    };
  },
  tcp(choice) {
    const { series, at } = counter(hubbleMetrics.tcpFlags, choice);
    return {
      series: [series],
      counts(flow) {
        const flags = flow["l4"]?.TCP?.flags;
        if (flags === undefined || flow["verdict"] !== names.forwarded) return [];
        const family = familyOf(flow);
        const shown = [
          ...(flags.FIN ? ["FIN"] : []),
          ...(flags.SYN ? [flags.ACK ? "SYN-ACK" : "SYN"] : []),
          ...(flags.RST ? ["RST"] : []),
        ];
        return shown.map((flag) => at(flow, flag, family));
      },
    };
  },
  icmp(choice) {
    const { series, at } = counter(hubbleMetrics.icmp, choice);
    return {
      series: [series],
      counts({ l4, ...flow }) {
        const [icmp, protocol] =
          l4?.ICMPv4 === undefined ? [l4?.ICMPv6, protocolNumbers.icmpv6] : [l4.ICMPv4, protocolNumbers.icmp];
        if (icmp === undefined) return [];
        const family = protocol === protocolNumbers.icmp ? "IPv4" : "IPv6";
        return [at(flow, family, icmpName(protocol, icmp.type, icmp.code))];
      },
    };
  },
  /** Of connections, as the kernel judges them. Cilium leaves out what its host opens; here the host is who is judged. */
  policy(choice) {
    const { series, at } = counter(hubbleMetrics.policyVerdicts, choice);
    return {
      series: [series],
      onlyOpenings: true,
      counts(flow) {
        const match = flow["policy_match_type"];
        if (match === undefined) return [];
        const direction = trafficDirection.names.get(flow["traffic_direction"]) ?? "";
        const action = verdict.names.get(flow["verdict"]) ?? "";
        return [at(flow, direction.toLowerCase(), ruleMatches[match] ?? "", action.toLowerCase())];
      },
    };
  },
  "port-distribution"(choice) {
    const { series, at } = counter(hubbleMetrics.portDistribution, choice);
    const isByPort = contextLabelNames(choice.contexts).length === 0;
    /** By protocol << 16 | port: as many as there are series, of which each is known here. */
    const known = new Map<number, Count>();
    const byPort = (protocol: number, port: number): Count | undefined => {
      const name = layer4Names.get(protocol);
      if (name === undefined) return undefined;
      const key = (protocol << 16) | port;
      const count = known.get(key) ?? series.rest;
      if (count !== undefined) return count;
      const fresh = series.at([name, String(port)]);
      known.set(key, fresh);
      return fresh;
    };
    return {
      series: [series],
      counts(flow) {
        if (flow["verdict"] !== names.forwarded || flow["is_reply"] || flow["l4"] === undefined) return [];
        const name = layer4Name(flow);
        const port = portOf(flow) ?? 0;
        const count = isByPort ? byPort(layer4Numbers.get(name) ?? 0, port) : at(flow, name, String(port));
        return count === undefined ? [] : [count];
      },
      ...(isByPort ? { byPort } : {}),
    };
  },
  "flows-to-world"(choice) {
    const { flags } = choice;
    const { series, at } = counter(hubbleMetrics.flowsToWorld, choice, flags.has("port") ? ["port"] : []);
    return {
      series: [series],
      counts(flow) {
        const isDrop = flow["verdict"] === names.drop;
        if (!flow["destination"].labels.includes("reserved:world") || flow["l4"] === undefined) return [];
        if (
          isDrop &&
          !flags.has("any-drop") &&
          flow["drop_reason_desc"] !== dropReason.numbers["POLICY_DENIED"]
        )
          return [];
        if (!isDrop && flow["is_reply"]) return [];
        if (flags.has("syn-only") && (!flow["l4"].TCP?.flags?.SYN || flow["is_reply"])) return [];
        const port = flags.has("port") ? [String(portOf(flow) ?? "")] : [];
        return [at(flow, protocolOf(flow), verdict.names.get(flow["verdict"]) ?? "", ...port)];
      },
    };
  },
  dns(choice) {
    const { flags } = choice;
    const query = flags.has("query") ? ["query"] : [];
    const queries = counter(hubbleMetrics.dnsQueries, choice, query);
    const responses = counter(hubbleMetrics.dnsResponses, choice, query);
    const types = counter(hubbleMetrics.dnsResponseTypes, choice, query);
    return {
      series: [queries.series, responses.series, types.series],
      counts(flow) {
        const dns = flow["l7"]?.dns;
        if (dns === undefined) return [];
        const asked = dns.qtypes.join(",");
        if (flags.has("ignoreaaaa") && asked === "AAAA") return [];
        const name = flags.has("query") ? [dns.query] : [];
        const ips = String(dns.ips?.length ?? 0);
        if (!flow["is_reply"]) return [queries.at(flow, "", asked, ips, ...name)];
        return [
          responses.at(flow, rcodeNames[dns.rcode] ?? "", asked, ips, ...name),
          ...dns.rrtypes.map((type: string) => types.at(flow, type, asked, ...name)),
        ];
      },
    };
  },
  http: (choice) => httpHandler(choice, false),
  httpV2: (choice) => httpHandler(choice, true),
};

/** The second version counts requests when they are answered, with the answer's status. */
function httpHandler(choice: MetricChoice, second: boolean): Omit<Handler, "byShape"> {
  const requests = counter(hubbleMetrics.httpRequests, choice, second ? ["status"] : [], second);
  const responses = counter(hubbleMetrics.httpResponses, choice);
  const contextNames = contextLabelNames(choice.contexts);
  const duration = {
    ...hubbleMetrics.httpDuration,
    labels: [...hubbleMetrics.httpDuration.labels, ...contextNames],
  };
  const reporterOf = (flow: Values): string =>
    flow["traffic_direction"] === trafficDirection.numbers["EGRESS"] ? "client" : "server";
  return {
    series: second ? [requests.series] : [requests.series, responses.series],
    counts(flow) {
      const http = flow["l7"]?.http;
      if (http === undefined) return [];
      const [status, reporter] = [String(http.code), reporterOf(flow)];
      if (flow["l7"].type === names.request)
        return second ? [] : [requests.at(flow, http.method, "", reporter)];
      if (second) return [requests.at(flow, http.method, "", reporter, status)];
      return [responses.at(flow, http.method, "", status, reporter)];
    },
    observe(flow) {
      const http = flow["l7"]?.http;
      if (http === undefined || flow["l7"].type !== names.response) return undefined;
      const values = contextLabelValues(choice.contexts, flow, second);
      return {
        metric: duration,
        labels: {
          method: http.method,
          reporter: reporterOf(flow),
          ...Object.fromEntries(contextNames.map((name, index) => [name, values[index] ?? ""])),
        },
        value: flow["l7"].latency_ns / 1e9,
      };
    },
  };
}

function protocolOf(flow: Values): string {
  if (flow["event_type"].type !== eventType.l7) return layer4Name(flow);
  if (flow["l7"]?.dns !== undefined) return "DNS";
  return flow["l7"]?.http === undefined ? "Unknown L7" : "HTTP";
}

function layer4Name({ l4 }: Values): string {
  return Object.keys(l4 ?? {})[0] ?? "Unknown L4";
}

function typeOf(flow: Values): [type: string, subtype: string] {
  const { type, sub_type } = flow["event_type"];
  if (type === eventType.drop) return ["Drop", ""];
  if (type === eventType.trace) return ["Trace", pointNames[sub_type] ?? ""];
  return ["L7", flow["l7"]?.dns !== undefined ? "DNS" : flow["l7"]?.http !== undefined ? "HTTP" : ""];
}

/** Observation points that `pointOf` gives, as Cilium's monitor writes them. */
const pointNames: Readonly<Record<number, string>> = { 3: "to-stack", 10: "from-network", 11: "to-network" };

function familyOf(flow: Values): string {
  return ipVersion.names.get(flow["IP"].ipVersion) ?? "";
}

/** What `layer4Name` says of a protocol. */
const layer4Names: ReadonlyMap<number, string> = new Map([
  [protocolNumbers.tcp, "TCP"],
  [protocolNumbers.udp, "UDP"],
  [protocolNumbers.sctp, "SCTP"],
  [protocolNumbers.icmp, "ICMPv4"],
  [protocolNumbers.icmpv6, "ICMPv6"],
  [protocolNumbers.igmp, "IGMP"],
  [protocolNumbers.vrrp, "VRRP"],
]);
const layer4Numbers = new Map([...layer4Names].map(([number, name]) => [name, number]));

function portOf({ l4 }: Values): number | undefined {
  return (l4.TCP ?? l4.UDP ?? l4.SCTP)?.destination_port;
}

/** Response codes as Hubble's dashboards know them. */
const rcodeNames: Readonly<Record<number, string>> = {
  0: "No Error",
  1: "Format Error",
  2: "Server Failure",
  3: "Non-Existent Domain",
  4: "Not Implemented",
  5: "Query Refused",
  6: "Name Exists when it should not",
  7: "RR Set Exists when it should not",
  8: "RR Set that should exist does not",
  9: "Not Authorized",
  10: "Name not contained in zone",
  11: "DSO-TYPE Not Implemented",
  16: "Bad OPT Version",
  17: "Key not recognized",
  18: "Signature out of time window",
  19: "Bad TKEY Mode",
  20: "Duplicate key name",
  21: "Algorithm not supported",
  22: "Bad Truncation",
  23: "Bad/missing Server Cookie",
};
