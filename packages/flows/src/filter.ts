/** The filters of flows: one meaning for the agent, `x0 flows observe` and a replay. */
import { parseMoment, X0Error } from "@x0tta6bl4/core";
import { isMappedIPv4, parseAddress } from "./address.ts";
import { flowsFail } from "./errors.ts";
import type { Flow, FlowProcess, FlowQuery } from "./flow.ts";
import { protocolNumber } from "./protocols.ts";

/** What a filter looks at; a `Flow` is one. What is left out is unknown, and matches no filter that asks for it. */
export interface FlowFacts
  extends Pick<Flow, "protocol" | "start" | "end" | "process" | "peerProcess">,
    Partial<Pick<Flow, "id" | "tls" | "drops" | "verdict">> {
  readonly source: Omit<Flow["source"], "name"> & Partial<Pick<Flow["source"], "name">>;
  readonly destination: Omit<Flow["destination"], "name"> & Partial<Pick<Flow["destination"], "name">>;
}

/** The part of a query that a single flow can answer; limits and pages come after it. */
export type FlowFilter = Omit<FlowQuery, "last" | "limit" | "after">;

export interface AddressPrefix {
  /** 16 bytes, IPv4 as `::ffff:a.b.c.d`. */
  readonly bytes: Uint8Array;
  /** 0 to 128: 96 more than written for IPv4. */
  readonly prefixBits: number;
}

/**
 * All given filters must match. Times that are durations count back from `nowMs`.
 * @throws X0_FLOWS_INVALID_FILTER
 */
export function compileFilter(query: FlowFilter, nowMs: number): (flow: FlowFacts) => boolean {
  const tests: ((flow: FlowFacts) => boolean)[] = [];
  if (query.protocol !== undefined) {
    const wanted = requireProtocol(query.protocol);
    tests.push((flow) => protocolNumber(flow.protocol) === wanted);
  }
  if (query.port !== undefined) {
    const port = requirePort(query.port);
    tests.push((flow) => flow.source.port === port || flow.destination.port === port);
  }
  if (query.ip !== undefined) {
    const prefix = parseAddressPrefix(query.ip);
    const matches = (ip: string): boolean => {
      const bytes = parseAddress(ip);
      return bytes !== undefined && inPrefix(bytes, prefix);
    };
    tests.push((flow) => matches(flow.source.ip) || matches(flow.destination.ip));
  }
  if (query.process !== undefined) {
    const isWanted = processTest(query.process);
    tests.push((flow) => isWanted(flow.process) || isWanted(flow.peerProcess));
  }
  if (query.unit !== undefined) {
    const isWanted = unitTest(query.unit);
    tests.push((flow) => isWanted(flow.process) || isWanted(flow.peerProcess));
  }
  if (query.container !== undefined) {
    const isWanted = containerTest(query.container);
    tests.push((flow) => isWanted(flow.process) || isWanted(flow.peerProcess));
  }
  if (query.name !== undefined) {
    const isWanted = nameTest(query.name);
    tests.push(({ source, destination, tls }) =>
      [source.name, destination.name, tls?.serverName].some((name) => name != null && isWanted(name)),
    );
  }
  if (query.dropped !== undefined) {
    const wanted = query.dropped === "true";
    tests.push((flow) => (flow.drops != null) === wanted);
  }
  if (query.verdict !== undefined) tests.push((flow) => flow.verdict === query.verdict);
  if (query.id !== undefined) tests.push((flow) => flow.id === query.id);
  if (query.since !== undefined) {
    const since = requireMoment("since", query.since, nowMs);
    tests.push((flow) => Date.parse(flow.end) >= since);
  }
  if (query.until !== undefined) {
    const until = requireMoment("until", query.until, nowMs);
    tests.push((flow) => Date.parse(flow.start) < until);
  }
  return (flow) => tests.every((matches) => matches(flow));
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Bits behind the prefix are ignored. @throws X0_FLOWS_INVALID_FILTER */
export function parseAddressPrefix(text: string): AddressPrefix {
  const [address = "", length, ...rest] = text.split("/");
  const bytes = parseAddress(address);
  if (bytes === undefined || rest.length > 0)
    throw invalid("ip", text, "write an address or a prefix: 10.0.0.7, 10.0.0.0/8, 2001:db8::/32");
  const dotted = isMappedIPv4(bytes) && !address.includes(":");
  const most = dotted ? 32 : 128;
  if (length === undefined) return { bytes, prefixBits: 128 };
  if (!/^\d{1,3}$/.test(length) || Number(length) > most)
    throw invalid("ip", text, `write a prefix length from 0 to ${most} behind the slash`);
  return { bytes, prefixBits: Number(length) + (dotted ? 96 : 0) };
}

/**
 * @param address 16 bytes. An IPv6 prefix that would cover the mapped addresses only by being short, such as `::/0`,
 * does not match IPv4.
 */
export function inPrefix(address: Uint8Array, { bytes, prefixBits }: AddressPrefix): boolean {
  if (prefixBits < 96 && isMappedIPv4(address)) return false;
  const whole = prefixBits >> 3;
  for (let index = 0; index < whole; index++) if (address[index] !== bytes[index]) return false;
  const mask = 0xff00 >> (prefixBits & 7);
  return (((address[whole] ?? 0) ^ (bytes[whole] ?? 0)) & mask & 0xff) === 0;
}

/**
 * The test of `process`: a number is a pid; else the name that the process shows, its executable's path, or the last
 * part of that.
 */
export function processTest(text: string): (process: FlowProcess | null) => boolean {
  if (text.trim() === "") throw invalid("process", text, "write a name, the path of an executable, or a pid");
  const pid = /^\d+$/.test(text) ? Number(text) : undefined;
  return (process) =>
    process !== null &&
    (process.pid === pid ||
      process.comm === text ||
      process.executable === text ||
      process.executable?.endsWith(`/${text}`) === true);
}

/** The test of `unit`: the name of a systemd unit, with or without `.service`. */
export function unitTest(text: string): (process: FlowProcess | null) => boolean {
  if (text.trim() === "") throw invalid("unit", text, "write the name of a systemd unit: nginx.service");
  return (process) => process?.unit != null && (process.unit === text || process.unit === `${text}.service`);
}

/** The test of `container`: its id, or the first 12 digits of it or more, as container tools print them. */
export function containerTest(text: string): (process: FlowProcess | null) => boolean {
  if (!/^[0-9A-Za-z][\w.-]*$/.test(text)) throw invalid("container", text, "write a container's id");
  return (process) =>
    process?.container != null &&
    (process.container === text || (text.length >= 12 && process.container.startsWith(text)));
}

/** The test of `name`: a DNS name, or `*.example.org` for all names below one. Upper and lower case are the same. */
export function nameTest(text: string): (name: string) => boolean {
  const wanted = requireName(text);
  const below = wanted.startsWith("*.") ? wanted.slice(1) : undefined;
  return (name) => (below === undefined ? name.toLowerCase() === wanted : name.toLowerCase().endsWith(below));
}

/** @returns it in lower case, without the last dot. @throws X0_FLOWS_INVALID_FILTER */
export function requireName(text: string): string {
  const wanted = text.trim().toLowerCase().replace(/\.$/, "");
  if (wanted !== "" && wanted !== "*." && !wanted.replace(/^\*\./, ".").includes("*")) return wanted;
  throw invalid("name", text, "write a DNS name, or *.example.org for all below one");
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function requireProtocol(text: string): number {
  const number = protocolNumber(text.trim());
  if (number === undefined)
    throw invalid("protocol", text, "write tcp, udp, icmp, icmpv6, sctp, or IANA's number from 0 to 255");
  return number;
}

function requirePort(port: number): number {
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw invalid("port", String(port), "write a number from 0 to 65535");
  return port;
}

/** @throws X0_FLOWS_INVALID_FILTER */
export function requireMoment(name: "since" | "until", text: string, nowMs: number): number {
  try {
    return parseMoment(text, nowMs);
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    throw invalid(name, text, error.hint);
  }
}

function invalid(name: string, value: string, hint: string | undefined): X0Error {
  return flowsFail("X0_FLOWS_INVALID_FILTER", `${name} cannot be "${value}"`, { hint });
}
