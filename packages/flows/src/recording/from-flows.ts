/**
 * Flows → a batch of records, where they come from somewhere else than the capturing thread: the history, a test, a
 * bench. `readBatch(batchOf(flows)).flow(i)` equals `flows[i]`.
 */
import { parseAddress } from "../address.ts";
import { applications } from "../application.ts";
import type { Flow, FlowProcess } from "../flow.ts";
import { isEcho, protocolNumber, protocolNumbers, tcpFlags } from "../protocols.ts";
import { verdicts } from "../verdicts.ts";
import {
  type Coverage,
  changes,
  places,
  RECORD_WORDS,
  type RecordBatch,
  type RuleMatch,
  recordWord,
} from "./record.ts";

/** A flow with what a record says beyond it. */
export interface Recorded {
  readonly flow: Flow;
  /** `start` for an active flow, else `end`. */
  readonly change?: (typeof changes)[number];
  /** Flags of each side; those of the flow on both, if the destination answered at all. */
  readonly sourceFlags?: readonly string[];
  readonly destinationFlags?: readonly string[];
  /** Counters of the record before this one. */
  readonly earlier?: Pick<Flow, "packets" | "bytes">;
  /** Of the flow's rule. */
  readonly match?: RuleMatch;
}

export function batchOf(
  entries: readonly (Flow | Recorded)[],
  coverage: Partial<Coverage> = {},
): RecordBatch {
  const words = new Uint32Array(entries.length * RECORD_WORDS);
  const doubles = new Float64Array(words.buffer);
  const strings = numbered<string>("");
  const processes = numbered<FlowProcess | null>(null);
  const translations = [{ source: "", destination: "" }];
  for (const [index, entry] of entries.entries()) {
    const recorded = "flow" in entry ? entry : { flow: entry };
    const { flow } = recorded;
    const base = index * RECORD_WORDS;
    const set = (word: number, value: number): void => {
      words[base + word] = value;
    };
    const setDouble = (word: number, value: number): void => {
      doubles[(base + word) / 2] = value;
    };
    const protocol = protocolNumber(flow.protocol) ?? 0;
    const change = recorded.change ?? (flow.state === "active" ? "start" : "end");
    set(
      recordWord.kind,
      changes.indexOf(change) |
        (flow.state === "active" ? 0x100 : 0) |
        (places.indexOf(flow.place) << 16) |
        (verdicts.indexOf(flow.verdict) << 20) |
        (flow.direction === "egress" ? 1 << 24 : 0),
    );
    set(recordWord.netns, flow.netns);
    setDouble(recordWord.idF64, Number(flow.id));
    setDouble(recordWord.startF64, Date.parse(flow.start));
    setDouble(recordWord.endF64, Date.parse(flow.end));
    setAddress(words, base + recordWord.source, flow.source.ip);
    setAddress(words, base + recordWord.destination, flow.destination.ip);
    set(recordWord.ports, portsOf(flow, protocol));
    const sourceFlags = flagMask(recorded.sourceFlags ?? flow.tcpFlags);
    const destinationFlags = flagMask(
      recorded.destinationFlags ?? (flow.packets.received > 0 ? flow.tcpFlags : []),
    );
    set(recordWord.protocol, protocol | (sourceFlags << 8) | (destinationFlags << 16));
    if (flow.icmp !== null) set(recordWord.icmp, (flow.icmp.type << 8) | flow.icmp.code);
    if (flow.rule !== null)
      set(
        recordWord.ruleString,
        strings.number([flow.rule.policy, flow.rule.path, recorded.match ?? []].flat().join(" ")),
      );
    set(recordWord.interfaceString, strings.number(flow.interface));
    const { earlier } = recorded;
    for (const [word, value] of [
      [recordWord.sentPacketsF64, flow.packets.sent],
      [recordWord.receivedPacketsF64, flow.packets.received],
      [recordWord.sentBytesF64, flow.bytes.sent],
      [recordWord.receivedBytesF64, flow.bytes.received],
      [recordWord.earlierF64, earlier?.packets.sent ?? 0],
      [recordWord.earlierF64 + 2, earlier?.packets.received ?? 0],
      [recordWord.earlierF64 + 4, earlier?.bytes.sent ?? 0],
      [recordWord.earlierF64 + 6, earlier?.bytes.received ?? 0],
    ] as const)
      setDouble(word, value);
    const cookie = BigInt(flow.cookie ?? 0);
    set(recordWord.cookie, Number(cookie & 0xffff_ffffn));
    set(recordWord.cookie + 1, Number(cookie >> 32n));
    set(recordWord.process, processes.number(flow.process));
    set(recordWord.peerProcess, processes.number(flow.peerProcess));
    set(recordWord.sourceNameString, strings.number(flow.source.name ?? ""));
    set(recordWord.destinationNameString, strings.number(flow.destination.name ?? ""));
    set(recordWord.application, applicationOf(flow));
    if (flow.tls !== null) set(recordWord.serverNameString, strings.number(flow.tls.serverName ?? ""));
    if (flow.tcp !== null) {
      set(recordWord.connect, microseconds(flow.tcp.connectMs));
      set(recordWord.rtt, microseconds(flow.tcp.rttMs));
      set(recordWord.minRtt, microseconds(flow.tcp.minRttMs));
      set(recordWord.retransmits, flow.tcp.retransmits + 1);
    }
    if (flow.drops !== null) {
      set(recordWord.drops, flow.drops.packets);
      set(recordWord.dropReasonString, strings.number(flow.drops.reason));
    }
    if (flow.requests !== null) {
      set(recordWord.requests, flow.requests.count);
      set(recordWord.requestErrors, flow.requests.errors);
      set(recordWord.requestLatency, microseconds(flow.requests.latencyMs));
    }
    if (flow.translated !== null) {
      const { source, destination } = flow.translated;
      set(recordWord.translatedPorts, source.port | (destination.port << 16));
      set(recordWord.translation, translations.push({ source: source.ip, destination: destination.ip }) - 1);
    }
  }
  return {
    count: entries.length,
    words,
    strings: strings.values,
    processes: processes.values,
    translations,
    coverage: {
      fromMs: 0,
      toMs: 0,
      lostPackets: 0,
      lostBytes: 0,
      lostEvents: 0,
      uncounted: 0,
      ...coverage,
    },
  };
}

/** Values with numbers, equal ones under one; the first is what number 0 stands for. */
function numbered<T>(none: T): { readonly values: T[]; number(value: T): number } {
  const values = [none];
  const numbers = new Map<T, number>([[none, 0]]);
  return {
    values,
    number(value) {
      const number = numbers.get(value) ?? values.push(value) - 1;
      numbers.set(value, number);
      return number;
    },
  };
}

function setAddress(words: Uint32Array, at: number, text: string): void {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`${text} is no address`);
  new Uint8Array(words.buffer, words.byteOffset + at * 4, 16).set(bytes);
}

function portsOf({ source, destination, icmp }: Flow, protocol: number): number {
  if (protocol !== protocolNumbers.icmp && protocol !== protocolNumbers.icmpv6)
    return source.port | (destination.port << 16);
  if (icmp === null) return 0;
  const both = isEcho(protocol, icmp.type) ? icmp.id : (icmp.type << 8) | icmp.code;
  return both | (both << 16);
}

function flagMask(names: readonly string[]): number {
  return names.reduce((mask, name) => mask | (1 << tcpFlags.indexOf(name as "FIN")), 0);
}

function applicationOf({ application, tls }: Flow): number {
  const index = application === null ? 0 : applications.indexOf(application) + 1;
  if (tls === null) return index;
  return index | (tlsNumber(tls.version) << 8) | (tls.encryptedHello ? 1 << 24 : 0) | (1 << 25);
}

function tlsNumber(version: string | null): number {
  if (version === null) return 0;
  if (version === "SSL 3.0") return 0x0300;
  return version.startsWith("1.") ? 0x0301 + Number(version.slice(2)) : Number(version);
}

/** Of a record: plus one, 0 where unknown. */
function microseconds(milliseconds: number | null): number {
  return milliseconds === null ? 0 : Math.round(milliseconds * 1000) + 1;
}
