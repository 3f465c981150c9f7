/**
 * A record of a connection → Hubble's flows. Hubble tells of packets, so a record shows as the packets that matter:
 * the first one of each side, a sign of life of long ones, and the FIN or RST of each side. Which of them a record
 * shows follows from the record alone: its counters, and those of the record before it.
 */
import { formatAddress, isMappedIPv4 } from "../address.ts";
import type { FlowProcess } from "../flow.ts";
import { protocolNumbers, tcpFlag, tcpFlags } from "../protocols.ts";
import {
  changes,
  matchOf,
  placeOf,
  RECORD_WORDS,
  type RecordBatch,
  type RecordReader,
  recordWord,
  ruleOf,
  verdictOf,
} from "../recording/record.ts";
import type { Values } from "./codec.ts";
import { type Endpoint, localEndpoint, worldEndpoint } from "./endpoint.ts";
import { answerOf, icmpName } from "./icmp-name.ts";
import {
  dropReason,
  eventType,
  flowType,
  ipVersion,
  observationPoint,
  traceReason,
  trafficDirection,
  verdict,
} from "./schema.ts";

/** Bits of a set: what of a connection a record shows. The order is that of their times. */
export const sighting = {
  /** The first packet of the source. */
  opening: 1,
  /** The first packet of the destination. */
  reply: 2,
  /** Further packets of a long flow, each side. */
  sent: 4,
  received: 8,
  /** FIN or RST, each side. */
  sourceEnd: 16,
  destinationEnd: 32,
} as const;

export const SIGHTINGS = 6;
/** What the destination sent. */
export const ofDestination: number = sighting.reply | sighting.received | sighting.destinationEnd;

const START = changes.indexOf("start");
const UPDATE = changes.indexOf("update");
const closing = tcpFlag.FIN | tcpFlag.RST;

/** Who says it: this agent. */
export interface Emitter {
  readonly nodeName: string;
  readonly version: string;
  /** Whether an address is one of this host's: events, other than records, do not say it. */
  isLocal(ip: string): boolean;
}

/**
 * A set of `sighting` bits; 0 where a record says nothing that Hubble would. The opening is in the record of the start,
 * the reply in the first one after it that has any packets of the destination.
 */
export function sightingsOf(words: Uint32Array, doubles: Float64Array, index: number): number {
  const base = index * RECORD_WORDS;
  const change = (words[base + recordWord.kind] as number) & 0xff;
  if (change === START) return sighting.opening;
  const at = base / 2;
  const received = doubles[at + recordWord.receivedPacketsF64 / 2] as number;
  const sentBefore = doubles[at + recordWord.earlierF64 / 2] as number;
  const receivedBefore = doubles[at + recordWord.earlierF64 / 2 + 1] as number;
  let set = receivedBefore === 0 && received > 0 ? sighting.reply : 0;
  if (change === UPDATE) {
    const sent = doubles[at + recordWord.sentPacketsF64 / 2] as number;
    if (sentBefore > 0 && sent > sentBefore) set |= sighting.sent;
    if (receivedBefore > 0 && received > receivedBefore) set |= sighting.received;
  } else {
    const packed = words[base + recordWord.protocol] as number;
    if ((packed >>> 8) & closing) set |= sighting.sourceEnd;
    // A reply without SYN shows all flags of its side already: the RST of a closed port is told once.
    const isShown = (set & sighting.reply) !== 0 && ((packed >>> 16) & tcpFlag.SYN) === 0;
    if ((packed >>> 16) & closing && !isShown) set |= sighting.destinationEnd;
  }
  return set;
}

/** Unix milliseconds. The reply's time is known where the connect's is; else it is the latest packet's. */
export function timeOf(words: Uint32Array, doubles: Float64Array, index: number, which: number): number {
  const base = index * RECORD_WORDS;
  const start = doubles[(base + recordWord.startF64) / 2] as number;
  if (which === sighting.opening) return start;
  const end = doubles[(base + recordWord.endF64) / 2] as number;
  const connect = words[base + recordWord.connect] as number;
  return which === sighting.reply && connect !== 0 ? Math.min(end, start + (connect - 1) / 1000) : end;
}

/** One flow of Hubble as the table `flowMessage` has it. @param which one bit of the record's sightings. */
export function flowOfSighting(
  { batch, words, doubles }: RecordReader,
  index: number,
  which: number,
  { nodeName, version }: Emitter,
): Values {
  const base = index * RECORD_WORDS;
  const at = (word: number): number => words[base + word] as number;
  const isReply = (which & ofDestination) !== 0;
  const kind = at(recordWord.kind);
  const isEgress = kind >>> 24 !== 0;
  const sides = sidesOf(batch, words, index);
  const [source, destination] = isReply ? [sides[1], sides[0]] : sides;
  const time = timeOf(words, doubles, index, which);
  const point = pointOf(placeOf(kind), isEgress !== isReply);
  const { l4, summary } = layer4(words, base, isReply, which);
  const interfaceName = batch.strings[at(recordWord.interfaceString)] as string;
  return {
    time,
    uuid: uuidOf(time, which, doubles[(base + recordWord.idF64) / 2] as number, 0),
    emitter: { name: "x0tta6bl4", version },
    ...judgement(batch, words, base, isEgress, which === sighting.opening),
    IP: {
      source: source.ip,
      source_xlated: isReply ? undefined : translatedSource(batch, words, base, source.ip),
      destination: destination.ip,
      ipVersion: ipVersion.numbers[source.isVersion4 ? "IPv4" : "IPv6"],
    },
    l4,
    source: source.endpoint,
    destination: destination.endpoint,
    Type: flowType.numbers["L3_L4"],
    node_name: nodeName,
    source_names: source.names,
    destination_names: destination.names,
    reply: isReply,
    event_type: { type: eventType.trace, sub_type: point },
    traffic_direction: trafficDirection.numbers[isEgress ? "EGRESS" : "INGRESS"],
    trace_observation_point: point,
    trace_reason: traceReason.numbers[which === sighting.opening ? "NEW" : isReply ? "REPLY" : "ESTABLISHED"],
    is_reply: isReply,
    interface: interfaceName === "" ? undefined : { name: interfaceName },
    socket_cookie: cookieOf(words, base),
    Summary: summary,
  };
}

/** In the order of `verdicts`. */
const hubbleVerdicts = ["FORWARDED", "AUDIT", "DROPPED"] as const;
const DROPPED = 2;

/** What policy decided, and which one; of a connection's first packet also by what its rule matches. */
function judgement(
  { strings }: RecordBatch,
  words: Uint32Array,
  base: number,
  isEgress: boolean,
  isOpening: boolean,
): Values {
  const decided = verdictOf(words[base + recordWord.kind] as number);
  const denied = dropReason.numbers["POLICY_DENIED"];
  const told = {
    verdict: verdict.numbers[hubbleVerdicts[decided] as (typeof hubbleVerdicts)[number]],
    ...(decided === DROPPED ? { drop_reason: denied, drop_reason_desc: denied } : {}),
  };
  const string = words[base + recordWord.ruleString] as number;
  const text = string === 0 ? null : (strings[string] as string);
  const rule = ruleOf(text);
  if (text === null || rule === null) return told;
  const slash = rule.policy.indexOf("/");
  const policy = {
    name: rule.policy.slice(slash + 1),
    namespace: slash < 0 ? undefined : rule.policy.slice(0, slash),
    kind: slash < 0 ? "CiliumClusterwideNetworkPolicy" : "CiliumNetworkPolicy",
  };
  return {
    ...told,
    ...(isOpening ? { policy_match_type: matchOf(text) } : {}),
    [`${isEgress ? "egress" : "ingress"}_${decided === 0 ? "allowed" : "denied"}_by`]: [policy],
  };
}

interface Side {
  readonly ip: string;
  readonly isVersion4: boolean;
  readonly names: readonly string[];
  readonly endpoint: Endpoint;
}

function sidesOf(batch: RecordBatch, words: Uint32Array, index: number): [source: Side, destination: Side] {
  const base = index * RECORD_WORDS;
  const [source, destination] = endpointsOf(batch, words, index);
  const side = (address: number, nameString: number, endpoint: Endpoint): Side => {
    const bytes = new Uint8Array(words.buffer, words.byteOffset + (base + address) * 4, 16);
    const name = words[base + nameString] as number;
    return {
      ip: formatAddress(bytes),
      isVersion4: isMappedIPv4(bytes),
      names: name === 0 ? [] : [batch.strings[name] as string],
      endpoint,
    };
  };
  return [
    side(recordWord.source, recordWord.sourceNameString, source),
    side(recordWord.destination, recordWord.destinationNameString, destination),
  ];
}

/** Which side is this host: the source of what leaves, the destination of what comes, both on loopback. */
export function endpointsOf(
  { processes }: RecordBatch,
  words: Uint32Array,
  index: number,
): [source: Endpoint, destination: Endpoint] {
  const base = index * RECORD_WORDS;
  const kind = words[base + recordWord.kind] as number;
  return endpointsOfFlow(
    placeOf(kind),
    kind >>> 24 !== 0,
    processes[words[base + recordWord.process] as number] ?? null,
    processes[words[base + recordWord.peerProcess] as number] ?? null,
  );
}

const FORWARDED = 1;
const LOOPBACK = 2;

function endpointsOfFlow(
  place: number,
  isEgress: boolean,
  process: FlowProcess | null,
  peer: FlowProcess | null,
): [source: Endpoint, destination: Endpoint] {
  if (place === LOOPBACK || peer !== null) return [localEndpoint(process), localEndpoint(peer)];
  if (place === FORWARDED && process === null) return [worldEndpoint, worldEndpoint];
  return isEgress ? [localEndpoint(process), worldEndpoint] : [worldEndpoint, localEndpoint(process)];
}

/** Where the packet was seen, in Cilium's terms. */
export function pointOf(place: number, leaves: boolean): number {
  if (place === LOOPBACK) return observationPoint.numbers["TO_STACK"] as number;
  return observationPoint.numbers[leaves && place !== FORWARDED ? "TO_NETWORK" : "FROM_NETWORK"] as number;
}

function layer4(
  words: Uint32Array,
  base: number,
  isReply: boolean,
  which: number,
): { readonly l4: Values | undefined; readonly summary: string } {
  const packed = words[base + recordWord.protocol] as number;
  const protocol = packed & 0xff;
  const both = words[base + recordWord.ports] as number;
  const [sourcePort, destinationPort] = isReply ? [both >>> 16, both & 0xffff] : [both & 0xffff, both >>> 16];
  if (protocol === protocolNumbers.tcp) {
    const flags = shownFlags(isReply ? packed >>> 16 : packed >>> 8, which, isReply);
    return { l4: tcpLayer(sourcePort, destinationPort, flags), summary: tcpSummary(flags) };
  }
  const icmp = words[base + recordWord.icmp] as number;
  const type = isReply ? answerOf(protocol, icmp >>> 8) : icmp >>> 8;
  return otherLayer(protocol, sourcePort, destinationPort, type, icmp & 0xff);
}

/** Of all flags that a side sent, those of the packet in question. */
export function shownFlags(sideFlags: number, which: number, isReply: boolean): number {
  const flags = sideFlags & 0xff;
  const isFirst = (which & (sighting.opening | sighting.reply)) !== 0;
  if (isFirst) return flags & tcpFlag.SYN ? tcpFlag.SYN | (isReply ? tcpFlag.ACK : 0) : flags;
  if (which & (sighting.sourceEnd | sighting.destinationEnd)) return flags & (closing | tcpFlag.ACK);
  return flags & ~(tcpFlag.SYN | closing);
}

export function tcpLayer(source_port: number, destination_port: number, flags: number): Values {
  const set: Values = {};
  for (let bit = 0; bit < tcpFlags.length; bit++) if (flags & (1 << bit)) set[tcpFlags[bit] as string] = true;
  return { TCP: { source_port, destination_port, flags: set } };
}

/** Flags in the order in which Hubble writes them. */
const summaryOrder = ["SYN", "ACK", "RST", "FIN", "PSH", "URG", "ECE", "CWR"] as const;
const summaryBits = summaryOrder.map((name) => 1 << tcpFlags.indexOf(name));

export function tcpSummary(flags: number): string {
  let text = "TCP Flags: ";
  let separator = "";
  for (let index = 0; index < summaryOrder.length; index++)
    if (flags & (summaryBits[index] as number)) {
      text += separator + summaryOrder[index];
      separator = ", ";
    }
  return text;
}

/** Layer 4 of all but TCP; none where Hubble has no message for the protocol. */
export function otherLayer(
  protocol: number,
  source_port: number,
  destination_port: number,
  icmpType: number,
  icmpCode: number,
): { readonly l4: Values | undefined; readonly summary: string } {
  const ports = { source_port, destination_port };
  if (protocol === protocolNumbers.udp) return { l4: { UDP: ports }, summary: "UDP" };
  if (protocol === protocolNumbers.sctp) return { l4: { SCTP: ports }, summary: "SCTP" };
  const icmp = { type: icmpType, code: icmpCode };
  if (protocol === protocolNumbers.icmp)
    return { l4: { ICMPv4: icmp }, summary: `ICMPv4 ${icmpName(protocol, icmpType, icmpCode)}` };
  if (protocol === protocolNumbers.icmpv6)
    return { l4: { ICMPv6: icmp }, summary: `ICMPv6 ${icmpName(protocol, icmpType, icmpCode)}` };
  if (protocol === protocolNumbers.igmp) return { l4: { IGMP: {} }, summary: "IGMP" };
  if (protocol === protocolNumbers.vrrp) return { l4: { VRRP: {} }, summary: "VRRP" };
  return { l4: undefined, summary: `IP protocol ${protocol}` };
}

function translatedSource(
  { translations }: RecordBatch,
  words: Uint32Array,
  base: number,
  source: string,
): string | undefined {
  const translated = translations[words[base + recordWord.translation] as number]?.source ?? "";
  return translated === "" || translated === source ? undefined : translated;
}

function cookieOf(words: Uint32Array, base: number): number | bigint | undefined {
  const low = words[base + recordWord.cookie] as number;
  const high = words[base + recordWord.cookie + 1] as number;
  if (low === 0 && high === 0) return undefined;
  return high < 0x20_0000 ? high * 2 ** 32 + low : (BigInt(high) << 32n) | BigInt(low);
}

/**
 * A UUID of version 8 (RFC 9562 §5.8) that follows from what it names: 48 bits of time, 12 of what is shown, 16 of a
 * hash, 44 of the flow's number. The same event has the same one at each request.
 */
export function uuidOf(timeMs: number, kind: number, flowId: number, hash: number): string {
  const time = Math.floor(timeMs);
  const [high, low] = [Math.floor(time / 2 ** 32), time >>> 0];
  const [idHigh, idLow] = [Math.floor(flowId / 2 ** 32), flowId >>> 0];
  return (
    `${byteText(high >>> 8)}${byteText(high)}${byteText(low >>> 24)}${byteText(low >>> 16)}-` +
    `${byteText(low >>> 8)}${byteText(low)}-${byteText(0x80 | ((kind >>> 8) & 0xf))}${byteText(kind)}-` +
    `${byteText(0x80 | ((hash >>> 12) & 0xf))}${byteText(hash >>> 4)}-` +
    `${byteText((hash << 4) | ((idHigh >>> 8) & 0xf))}${byteText(idHigh)}` +
    `${byteText(idLow >>> 24)}${byteText(idLow >>> 16)}${byteText(idLow >>> 8)}${byteText(idLow)}`
  );
}

const byteTexts = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

function byteText(value: number): string {
  return byteTexts[value & 0xff] as string;
}
