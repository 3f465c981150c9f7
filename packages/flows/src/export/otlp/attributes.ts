/**
 * What a log record says of a flow or an event: attributes by the names of OpenTelemetry's semantic conventions where
 * these have one, else with the prefix `x0tta6bl4.`. Null is not sent.
 */
import type { FlowEvent, FlowEventKind } from "../../event.ts";
import type { Flow, FlowProcess } from "../../flow.ts";

export type Value = string | number | boolean | readonly string[] | null | undefined;
export type Attributes<T> = Readonly<Record<string, (of: T) => Value>>;

type Parties = Pick<Flow, "source" | "destination" | "protocol" | "netns" | "process">;
type EventOf<K extends FlowEventKind> = Extract<FlowEvent, { readonly kind: K }>;

const parties: Attributes<Parties> = {
  "source.address": (of) => of.source.ip,
  "source.port": (of) => of.source.port,
  "destination.address": (of) => of.destination.ip,
  "destination.port": (of) => of.destination.port,
  "x0tta6bl4.source.name": (of) => of.source.name,
  "x0tta6bl4.destination.name": (of) => of.destination.name,
  "network.transport": (of) => of.protocol,
  "network.type": (of) => (of.source.ip.includes(":") ? "ipv6" : "ipv4"),
  "x0tta6bl4.netns": (of) => of.netns,
  ...ofProcess("", (of: Parties) => of.process),
};

export const flowAttributes: Attributes<Flow> = {
  ...parties,
  // The conventions know one process a record.
  ...ofProcess("x0tta6bl4.peer.", (flow: Flow) => flow.peerProcess),
  "network.interface.name": (flow) => (flow.interface === "" ? null : flow.interface),
  "network.protocol.name": (flow) => flow.application,
  "tls.protocol.version": (flow) => flow.tls?.version,
  "tls.client.server_name": (flow) => flow.tls?.serverName,
  "x0tta6bl4.flow.id": (flow) => flow.id,
  "x0tta6bl4.flow.start": (flow) => flow.start,
  "x0tta6bl4.flow.end": (flow) => flow.end,
  "x0tta6bl4.flow.direction": (flow) => flow.direction,
  "x0tta6bl4.flow.place": (flow) => flow.place,
  "x0tta6bl4.flow.verdict": (flow) => flow.verdict,
  "x0tta6bl4.flow.packets.sent": (flow) => flow.packets.sent,
  "x0tta6bl4.flow.packets.received": (flow) => flow.packets.received,
  "x0tta6bl4.flow.bytes.sent": (flow) => flow.bytes.sent,
  "x0tta6bl4.flow.bytes.received": (flow) => flow.bytes.received,
  "x0tta6bl4.flow.socket_cookie": (flow) => flow.cookie,
  "x0tta6bl4.icmp.type": (flow) => flow.icmp?.type,
  "x0tta6bl4.icmp.code": (flow) => flow.icmp?.code,
  "x0tta6bl4.nat.source.address": (flow) => flow.translated?.source.ip,
  "x0tta6bl4.nat.source.port": (flow) => flow.translated?.source.port,
  "x0tta6bl4.nat.destination.address": (flow) => flow.translated?.destination.ip,
  "x0tta6bl4.nat.destination.port": (flow) => flow.translated?.destination.port,
  "x0tta6bl4.tcp.flags": (flow) => someOf(flow.tcpFlags),
  "x0tta6bl4.tcp.connect_ms": (flow) => flow.tcp?.connectMs,
  "x0tta6bl4.tcp.rtt_ms": (flow) => flow.tcp?.rttMs,
  "x0tta6bl4.tcp.min_rtt_ms": (flow) => flow.tcp?.minRttMs,
  "x0tta6bl4.tcp.retransmits": (flow) => flow.tcp?.retransmits,
  "x0tta6bl4.requests.count": (flow) => flow.requests?.count,
  "x0tta6bl4.requests.errors": (flow) => flow.requests?.errors,
  "x0tta6bl4.requests.latency_ms": (flow) => flow.requests?.latencyMs,
  "x0tta6bl4.drops.packets": (flow) => flow.drops?.packets,
  "x0tta6bl4.drops.reason": (flow) => flow.drops?.reason,
};

const events: Attributes<FlowEvent> = { ...parties, "x0tta6bl4.flow.id": (event) => event.flow };

const isHttp = (event: EventOf<"request">): boolean => event.application === "http";

export const eventAttributes: { readonly [K in FlowEventKind]: Attributes<EventOf<K>> } = {
  dns: {
    ...events,
    "dns.question.name": (event) => event.name,
    "dns.answers": (event) => event.answers,
    "x0tta6bl4.dns.type": (event) => event.type,
    "x0tta6bl4.dns.rcode": (event) => event.rcode,
    "x0tta6bl4.dns.ttl_seconds": (event) => event.ttlSeconds,
    "x0tta6bl4.dns.latency_ms": (event) => event.latencyMs,
  },
  request: {
    ...events,
    "network.protocol.name": (event) => event.application,
    "http.request.method": (event) => (isHttp(event) ? event.method : null),
    "url.path": (event) => (isHttp(event) ? event.target : null),
    "http.response.status_code": (event) =>
      isHttp(event) && event.status !== null ? Number(event.status) : null,
    "db.operation.name": (event) => (isHttp(event) ? null : event.method),
    "db.response.status_code": (event) => (isHttp(event) ? null : event.status),
    "x0tta6bl4.request.error": (event) => event.isError,
    "x0tta6bl4.request.latency_ms": (event) => event.latencyMs,
    "x0tta6bl4.request.encrypted": (event) => event.encrypted,
  },
  drop: {
    ...events,
    "network.interface.name": (event) => event.interface,
    "x0tta6bl4.drop.reason": (event) => event.reason,
    "x0tta6bl4.drop.from_source": (event) => event.fromSource,
    "x0tta6bl4.drop.bytes": (event) => event.bytes,
    "x0tta6bl4.tcp.flags": (event) => someOf(event.tcpFlags),
  },
  scan: {
    ...events,
    "x0tta6bl4.scan.kind": (event) => event.scan,
    "x0tta6bl4.scan.count": (event) => event.count,
    "x0tta6bl4.scan.seconds": (event) => event.seconds,
  },
};

/** All that there are, for a field mask. */
export function attributeNames(): ReadonlySet<string> {
  return new Set([flowAttributes, ...Object.values(eventAttributes)].flatMap((table) => Object.keys(table)));
}

/** The part of a table that a mask keeps; all of it for an empty one. */
export function masked<T>(table: Attributes<T>, fields: readonly string[]): Attributes<T> {
  if (fields.length === 0) return table;
  return Object.fromEntries(Object.entries(table).filter(([name]) => fields.includes(name)));
}

function ofProcess<T>(prefix: string, processOf: (of: T) => FlowProcess | null): Attributes<T> {
  const own = prefix === "" ? "x0tta6bl4." : prefix;
  return {
    [`${prefix}process.pid`]: (of) => processOf(of)?.pid,
    [`${prefix}process.command`]: (of) => processOf(of)?.comm,
    [`${prefix}process.executable.path`]: (of) => processOf(of)?.executable,
    [`${prefix}process.linux.cgroup`]: (of) => processOf(of)?.cgroup,
    [`${prefix}container.id`]: (of) => processOf(of)?.container,
    [`${own}systemd.unit`]: (of) => processOf(of)?.unit,
  };
}

function someOf(names: readonly string[]): readonly string[] | null {
  return names.length === 0 ? null : names;
}
