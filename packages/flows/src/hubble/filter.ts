/**
 * Hubble's FlowFilter: which flows a client wants. All fields of a filter must match, one of a field's values is
 * enough; of the filters in a whitelist one must match, of those in a blacklist none.
 */
import { parseAddress } from "../address.ts";
import { inPrefix, parseAddressPrefix } from "../filter.ts";
import type { Values } from "./codec.ts";
import type { Workload } from "./endpoint.ts";
import { matchesGlob, parseGlob } from "./glob.ts";
import { parseSelector } from "./label-selector.ts";
import { parseExpression } from "./regular-expression.ts";
import { verdict } from "./schema.ts";

/** A filter that cannot be obeyed: with a value that it cannot have, or without a meaning on a plain host. */
export class RefusedFilter extends Error {
  readonly reason: "invalid" | "unsupported";

  constructor(reason: "invalid" | "unsupported", message: string) {
    super(message);
    this.reason = reason;
  }
}

export type FlowTest = (flow: Values) => boolean;

/** Why a field of FlowFilter is refused rather than matched by nothing. */
const unsupported: Readonly<Record<string, string>> = {
  source_service: "a plain host has no Kubernetes services: filter by pod, workload or name",
  destination_service: "a plain host has no Kubernetes services: filter by pod, workload or name",
  source_cluster_name: "a plain host is in no cluster",
  destination_cluster_name: "a plain host is in no cluster",
  http_header: "headers of requests are not recorded",
  node_labels: "this node has no labels",
  trace_id: "flows are not joined to traces here",
  ip_trace_id: "IP options are not recorded",
  encrypted: "what WireGuard and IPsec encrypt is not told apart",
  experimental: "CEL expressions are not evaluated",
};

/** @throws RefusedFilter that names the field */
export function compileFilters(
  whitelist: readonly Values[],
  blacklist: readonly Values[],
): FlowTest | undefined {
  const wanted = whitelist.map(compileFilter);
  const unwanted = blacklist.map(compileFilter);
  if (wanted.length === 0 && unwanted.length === 0) return undefined;
  return (flow) =>
    (wanted.length === 0 || wanted.some((test) => test(flow))) && !unwanted.some((test) => test(flow));
}

function compileFilter(filter: Values): FlowTest {
  const tests: FlowTest[] = [];
  for (const [field, values] of Object.entries(filter)) {
    const why = unsupported[field];
    if (why !== undefined) throw new RefusedFilter("unsupported", `FlowFilter.${field}: ${why}`);
    const compile = fields[field];
    if (compile === undefined)
      throw new RefusedFilter("unsupported", `FlowFilter.${field} is not known here`);
    try {
      tests.push(compile(values));
    } catch (error) {
      throw new RefusedFilter("invalid", `FlowFilter.${field}: ${(error as Error).message}`);
    }
  }
  return (flow) => tests.every((test) => test(flow));
}

type Compile = (values: Values[string]) => FlowTest;

/** One of the values equals what is read. */
const among =
  (read: (flow: Values) => unknown): Compile =>
  (values) => {
    const wanted = new Set(values);
    return (flow) => wanted.has(read(flow));
  };

/** One of the values, each compiled, matches. */
const some =
  <T>(compile: (value: T) => FlowTest): Compile =>
  (values) => {
    const tests: FlowTest[] = values.map(compile);
    return (flow) => tests.some((test) => test(flow));
  };

const address =
  (read: (flow: Values) => string | undefined): Compile =>
  (values) => {
    const prefixes = (values as string[]).map((text) => parseAddressPrefix(text));
    return (flow) => {
      const bytes = parseAddress(read(flow) ?? "");
      return bytes !== undefined && prefixes.some((prefix) => inPrefix(bytes, prefix));
    };
  };

/** `[namespace/]prefix`. There are no namespaces: Hubble's default one stands for none, another matches nothing. */
const pod = (side: "source" | "destination"): Compile =>
  some<string>((text) => {
    const slash = text.indexOf("/");
    const namespace = text.slice(0, Math.max(0, slash));
    const prefix = text.slice(slash + 1);
    if (text === "") throw new RangeError("the name is empty");
    if (namespace !== "" && namespace !== "default") return () => false;
    return (flow) => {
      const name = flow[side]?.pod_name;
      return name?.startsWith(prefix) === true;
    };
  });

const name = (field: "source_names" | "destination_names"): Compile =>
  some<string>((text) => {
    const pattern = parseGlob(text);
    return (flow) => flow[field].some((one: string) => matchesGlob(pattern, one.toLowerCase()));
  });

const label = (side: "source" | "destination"): Compile =>
  some<string>((text) => {
    const matches = parseSelector(text);
    return (flow) => matches(flow[side].labels);
  });

const workload = (side: "source" | "destination"): Compile =>
  some<Partial<Workload>>(
    (wanted) => (flow) =>
      (flow[side].workloads ?? []).some(
        (one: Workload) =>
          (!wanted.name || wanted.name === one.name) && (!wanted.kind || wanted.kind === one.kind),
      ),
  );

const port = (field: "source_port" | "destination_port"): Compile =>
  some<string>((text) => {
    const wanted = Number(text);
    if (!/^\d+$/.test(text) || wanted > 65_535) throw new RangeError(`"${text}" is no port`);
    return ({ l4 }) => (l4?.TCP ?? l4?.UDP ?? l4?.SCTP)?.[field] === wanted;
  });

const layers: Readonly<Record<string, FlowTest>> = {
  icmp: ({ l4 }) => l4?.ICMPv4 !== undefined || l4?.ICMPv6 !== undefined,
  icmpv4: ({ l4 }) => l4?.ICMPv4 !== undefined,
  icmpv6: ({ l4 }) => l4?.ICMPv6 !== undefined,
  tcp: ({ l4 }) => l4?.TCP !== undefined,
  udp: ({ l4 }) => l4?.UDP !== undefined,
  sctp: ({ l4 }) => l4?.SCTP !== undefined,
  vrrp: ({ l4 }) => l4?.VRRP !== undefined,
  igmp: ({ l4 }) => l4?.IGMP !== undefined,
  dns: ({ l7 }) => l7?.dns !== undefined,
  http: ({ l7 }) => l7?.http !== undefined,
};

/** `404` or the beginning of a code, `4+`. */
const httpStatus: Compile = some<string>((text) => {
  if (!/^[1-5](\d\d|\d?\+)$/.test(text)) throw new RangeError(`"${text}" is no status like 404 or 5+`);
  const prefix = text.replace("+", "");
  return ({ l7 }) => l7?.http?.code > 0 && String(l7.http.code).startsWith(prefix);
});

const expression = (read: (flow: Values) => string | undefined): Compile =>
  some<string>((text) => {
    const matches = parseExpression(text);
    return (flow) => {
      const subject = read(flow);
      return subject !== undefined && matches(subject);
    };
  });

/** Node names have their cluster's name before them; that of a node without one is `default`. */
const nodeName: Compile = some<string>((text) => {
  const [first = "", second, ...more] = text.split("/");
  if (text === "" || more.length > 0) throw new RangeError(`"${text}" is no name of a node`);
  const cluster = second === undefined || first === "" ? "*" : parseGlob(first);
  const node = second === undefined ? parseGlob(first) : second === "" ? "*" : parseGlob(second);
  return (flow) => matchesGlob(cluster, "default") && matchesGlob(node, flow["node_name"].toLowerCase());
});

const fields: Readonly<Record<string, Compile>> = {
  uuid: among((flow) => flow["uuid"]),
  source_ip: address((flow) => flow["IP"].source),
  source_ip_xlated: address((flow) => flow["IP"].source_xlated),
  destination_ip: address((flow) => flow["IP"].destination),
  source_pod: pod("source"),
  destination_pod: pod("destination"),
  source_fqdn: name("source_names"),
  destination_fqdn: name("destination_names"),
  source_label: label("source"),
  destination_label: label("destination"),
  source_workload: workload("source"),
  destination_workload: workload("destination"),
  source_identity: among((flow) => flow["source"].identity),
  destination_identity: among((flow) => flow["destination"].identity),
  source_port: port("source_port"),
  destination_port: port("destination_port"),
  traffic_direction: among((flow) => flow["traffic_direction"]),
  verdict: among((flow) => flow["verdict"]),
  drop_reason_desc: (values) => {
    const wanted = new Set(values);
    return (flow) =>
      flow["verdict"] === verdict.numbers["DROPPED"] && wanted.has(flow["drop_reason_desc"] ?? 0);
  },
  interface: some<Values>(
    (wanted) => (flow) =>
      flow["interface"] !== undefined &&
      !wanted["index"] &&
      (!wanted["name"] || wanted["name"] === flow["interface"].name),
  ),
  event_type: some<Values>(({ type = 0, match_sub_type = false, sub_type = 0 }) => (flow) => {
    const event = flow["event_type"];
    return (type === 0 || type === event.type) && (!match_sub_type || sub_type === event.sub_type);
  }),
  protocol: some<string>((text) => {
    const test = layers[text.toLowerCase()];
    if (test === undefined) throw new RangeError(`"${text}" is none of ${Object.keys(layers).join(", ")}`);
    return test;
  }),
  reply: among((flow) => flow["is_reply"]),
  tcp_flags: some<Values>((wanted) => {
    const names = Object.keys(wanted).filter((flag) => wanted[flag]);
    return ({ l4 }) => l4?.TCP?.flags !== undefined && names.every((flag) => l4.TCP.flags[flag] === true);
  }),
  ip_version: among((flow) => flow["IP"].ipVersion),
  node_name: nodeName,
  dns_query: expression(({ l7 }) => l7?.dns?.query),
  http_status_code: httpStatus,
  http_method: some<string>(
    (text) =>
      ({ l7 }) =>
        l7?.http?.method?.toUpperCase() === text.toUpperCase(),
  ),
  http_path: expression(({ l7 }) => l7?.http?.url),
  http_url: expression(({ l7 }) => l7?.http?.url),
};
