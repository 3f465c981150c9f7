/**
 * What happens on flows beside their packets → Hubble's flows: a drop is one with the verdict DROPPED, a DNS exchange
 * and a request are two of layer 7, the question and its answer. Scans have no form in Hubble.
 */

import { isIP } from "node:net";
import { isMappedIPv4, parseAddress } from "../address.ts";
import type { DnsEvent, DropEvent, FlowEvent, RequestEvent } from "../event.ts";
import { protocolNumber, protocolNumbers, tcpFlags } from "../protocols.ts";
import type { Values } from "./codec.ts";
import { dropReasonOf } from "./drop-reason.ts";
import { type Endpoint, localEndpoint, worldEndpoint } from "./endpoint.ts";
import { type Emitter, otherLayer, tcpLayer, tcpSummary, uuidOf } from "./from-record.ts";
import { eventType, flowType, ipVersion, l7FlowType, trafficDirection, verdict } from "./schema.ts";

/** How many flows of Hubble an event makes; `flowOfEvent` numbers them from 0. */
export function flowsInEvent(event: FlowEvent): number {
  if (event.kind === "scan") return 0;
  if (event.kind === "drop") return 1;
  return event.kind === "dns" && event.rcode === null ? 1 : 2;
}

/** Unix milliseconds: the event's own time is that of the answer, where there is one. */
export function timeOfEvent(event: FlowEvent, part: number): number {
  const time = Date.parse(event.time);
  if (event.kind !== "dns" && event.kind !== "request") return time;
  return part === 0 ? time - (event.latencyMs ?? 0) : time;
}

/** @param part below `flowsInEvent` */
export function flowOfEvent(event: FlowEvent, part: number, emitter: Emitter): Values {
  const protocol = protocolNumber(event.protocol) ?? 0;
  const isReply = event.kind === "drop" ? !event.fromSource : part === 1;
  const sourceIsLocal = opensHere(event, emitter);
  const ends = endpointsOf(event, emitter, sourceIsLocal);
  const [source, destination] = isReply
    ? [event.destination, event.source]
    : [event.source, event.destination];
  const address = parseAddress(source.ip);
  const time = timeOfEvent(event, part);
  const common: Values = {
    time,
    uuid: uuidOf(time, kinds[event.kind] + part, Number(event.flow ?? 0), hashOf(event)),
    emitter: { name: "x0tta6bl4", version: emitter.version },
    verdict: verdict.numbers["FORWARDED"],
    IP: {
      source: source.ip,
      destination: destination.ip,
      ipVersion: ipVersion.numbers[address === undefined || isMappedIPv4(address) ? "IPv4" : "IPv6"],
    },
    source: isReply ? ends[1] : ends[0],
    destination: isReply ? ends[0] : ends[1],
    Type: flowType.numbers["L7"],
    node_name: emitter.nodeName,
    source_names: source.name === null ? [] : [source.name],
    destination_names: destination.name === null ? [] : [destination.name],
    reply: isReply,
    event_type: { type: eventType.l7, sub_type: 0 },
    traffic_direction: trafficDirection.numbers[sourceIsLocal ? "EGRESS" : "INGRESS"],
    is_reply: isReply,
  };
  const type = l7FlowType.numbers[part === 0 ? "REQUEST" : "RESPONSE"] as number;
  const isTcp = protocol === protocolNumbers.tcp;
  const plain = isTcp
    ? { TCP: { source_port: source.port, destination_port: destination.port } }
    : otherLayer(protocol, source.port, destination.port, 0, 0).l4;
  if (event.kind === "dns") return { ...common, l4: plain, ...dnsLayer(event, type) };
  if (event.kind === "request") return { ...common, l4: plain, ...requestLayer(event, type) };
  if (event.kind === "drop") {
    const flags = event.tcpFlags.reduce((mask, flag) => mask | (1 << tcpFlags.indexOf(flag as "FIN")), 0);
    const layer = isTcp
      ? { l4: tcpLayer(source.port, destination.port, flags), summary: tcpSummary(flags) }
      : otherLayer(protocol, source.port, destination.port, 0, 0);
    return { ...common, l4: layer.l4, ...dropFields(event, layer.summary) };
  }
  return common;
}

/** Beside the bits of `sighting`. */
const kinds = { drop: 0x100, dns: 0x200, request: 0x300, scan: 0x400 } as const;

function dropFields(event: DropEvent, summary: string): Values {
  const reason = dropReasonOf(event.reason);
  return {
    verdict: verdict.numbers["DROPPED"],
    drop_reason: reason,
    drop_reason_desc: reason,
    Type: flowType.numbers["L3_L4"],
    event_type: { type: eventType.drop, sub_type: reason },
    interface: event.interface === null ? undefined : { name: event.interface },
    Summary: `${summary}; ${event.reason}`,
    extensions: event.reason,
  };
}

function dnsLayer(event: DnsEvent, type: number): Values {
  const query = `${event.name}.`;
  const asked = { query, observation_source: "packet", qtypes: [event.type] };
  if (type === l7FlowType.numbers["REQUEST"])
    return { l7: { type, dns: asked }, Summary: `DNS Query ${query} ${event.type}` };
  const ips = event.answers.filter((answer) => isIP(answer) !== 0);
  const cnames = event.answers.filter((answer) => isIP(answer) === 0);
  const parts = [
    ...(ips.length > 0 ? [JSON.stringify(ips.join(","))] : []),
    ...(cnames.length > 0 ? [`CNAMEs: ${JSON.stringify(cnames.join(","))}`] : []),
  ];
  const answer = event.rcode === "NOERROR" ? parts.join(" ") : `RCode: ${event.rcode}`;
  const ttl = event.ttlSeconds ?? 0;
  return {
    l7: {
      type,
      latency_ns: nanoseconds(event.latencyMs),
      dns: {
        ...asked,
        ips,
        ttl,
        cnames,
        rcode: rcodeNumber(event.rcode),
        rrtypes: event.answers.map((one) => (isIP(one) === 4 ? "A" : isIP(one) === 6 ? "AAAA" : "CNAME")),
      },
    },
    Summary: `DNS Answer ${answer} TTL: ${ttl} (Query ${query} ${event.type})`,
  };
}

/** Databases have no message in Hubble: they are flows of layer 7 that say in their summary what was asked. */
function requestLayer(event: RequestEvent, type: number): Values {
  const isResponse = type === l7FlowType.numbers["RESPONSE"];
  const what = event.target === null ? event.method : `${event.method} ${event.target}`;
  const latency = isResponse ? { latency_ns: nanoseconds(event.latencyMs) } : {};
  const status = isResponse ? ` ${event.status ?? "ok"} ${Math.floor(event.latencyMs)}ms` : "";
  const Summary = isResponse
    ? `${event.application.toUpperCase()}${status} (${what})`
    : `${event.application.toUpperCase()} ${what}`;
  if (event.application !== "http") return { l7: { type, ...latency }, Summary };
  const http = {
    code: isResponse ? Number(event.status ?? 0) : 0,
    method: event.method,
    url: event.target ?? "",
  };
  return { l7: { type, ...latency, http }, Summary };
}

function nanoseconds(milliseconds: number | null): number {
  return Math.round((milliseconds ?? 0) * 1e6);
}

/** IANA's names of DNS response codes; `RCODE12` and the like for others. */
const rcodes = [
  "NOERROR",
  "FORMERR",
  "SERVFAIL",
  "NXDOMAIN",
  "NOTIMP",
  "REFUSED",
  "YXDOMAIN",
  "YXRRSET",
  "NXRRSET",
  "NOTAUTH",
  "NOTZONE",
  "DSOTYPENI",
];

export function rcodeNumber(rcode: string | null): number {
  if (rcode === null) return 0;
  const known = rcodes.indexOf(rcode);
  return known >= 0 ? known : Number(/\d+$/.exec(rcode)?.[0] ?? 0);
}

/** An event tells the process, not on which side it is: the addresses do; else who asks is taken to be here. */
function opensHere({ source, destination, process }: FlowEvent, emitter: Emitter): boolean {
  if (emitter.isLocal(source.ip)) return true;
  return !emitter.isLocal(destination.ip) && process !== null;
}

function endpointsOf(event: FlowEvent, emitter: Emitter, sourceIsLocal: boolean): [Endpoint, Endpoint] {
  if (sourceIsLocal)
    return [
      localEndpoint(event.process),
      emitter.isLocal(event.destination.ip) ? localEndpoint(null) : worldEndpoint,
    ];
  return [
    worldEndpoint,
    emitter.isLocal(event.destination.ip) ? localEndpoint(event.process) : worldEndpoint,
  ];
}

/** Tells apart what one flow does twice in a millisecond: A and AAAA of one resolver. FNV-1a. */
function hashOf(event: FlowEvent): number {
  const text =
    event.kind === "dns"
      ? event.type + event.name
      : event.kind === "request"
        ? event.method + event.target
        : "";
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++)
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  return hash ^ (hash >>> 16);
}
