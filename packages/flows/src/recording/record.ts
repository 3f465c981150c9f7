/**
 * A flow as it goes from the capturing thread to the recording one: fixed words, the opener's side first, wall-clock
 * times, no kernel form and no objects. Strings and processes lie beside the words of a batch, which is complete in
 * itself: whoever reads a batch needs nothing from before.
 */
import { formatAddress } from "../address.ts";
import { applications } from "../application.ts";
import type { Flow, FlowProcess } from "../flow.ts";
import { isEcho, protocolName, protocolNumbers, tcpFlagNames } from "../protocols.ts";
import { verdicts } from "../verdicts.ts";

/** Words of 32 bits; those named here with `F64` are doubles and lie at even words. */
export const recordWord = {
  /** `changes` index, state (1 = active) << 8, place << 16, `verdicts` index << 20, direction (1 = egress) << 24. */
  kind: 0,
  /** Inode of the namespace. */
  netns: 1,
  idF64: 2,
  /** Unix milliseconds, with fraction. */
  startF64: 4,
  endF64: 6,
  /** 16 bytes each, IPv4 as ::ffff:a.b.c.d. */
  source: 8,
  destination: 12,
  /** Source port, destination port << 16. ICMP: the echo's id in the low half, else type << 8 | code in both. */
  ports: 16,
  /** Protocol, source's TCP flags << 8, destination's << 16. */
  protocol: 17,
  /** type << 8 | code of the first packet. */
  icmp: 18,
  /** Index into `strings`, 0 for none; so are all that end with String. */
  interfaceString: 19,
  sentPacketsF64: 20,
  receivedPacketsF64: 22,
  sentBytesF64: 24,
  receivedBytesF64: 26,
  /** The four counters as the record before this one of the same flow had them; 0 in a first one. */
  earlierF64: 28,
  /** Low and high word. */
  cookie: 36,
  /** Index into `processes`, 0 for none. */
  process: 38,
  peerProcess: 39,
  sourceNameString: 40,
  destinationNameString: 41,
  serverNameString: 42,
  /** Index into `applications` + 1; TLS version (0x0303) << 8; encrypted hello << 24; TLS was seen << 25. */
  application: 43,
  /** Microseconds + 1, 0 where unknown. */
  connect: 44,
  rtt: 45,
  minRtt: 46,
  /** Segments + 1, 0 where the socket is not known. */
  retransmits: 47,
  drops: 48,
  dropReasonString: 49,
  requests: 50,
  requestErrors: 51,
  /** Microseconds + 1. */
  requestLatency: 52,
  /** Ports of the translated tuple, source's in the low half; both addresses follow in `translations`. */
  translatedPorts: 53,
  /** Index into `translations`, 0 for none. */
  translation: 54,
  /** Name of the policy that decided, path of the rule in it, and what it matches by (`ruleMatches`), with spaces. */
  ruleString: 55,
} as const;

export const RECORD_WORDS = 56;

/** Index into `places`. */
export function placeOf(kind: number): number {
  return (kind >>> 16) & 0xf;
}

/** Index into `verdicts`. */
export function verdictOf(kind: number): number {
  return (kind >>> 20) & 0xf;
}

/** Names of policies have no spaces, nor have paths. */
export function ruleOf(text: string | null): Flow["rule"] {
  if (text === null) return null;
  const [policy = "", path = ""] = text.split(" ");
  return { policy, path };
}

/** What a rule matches by, in the order of Cilium's numbers (pkg/monitor/api); `none`: no rule, but a default. */
export const ruleMatches = ["none", "l3-only", "l3-l4", "l4-only", "all", "l3-proto", "proto-only"] as const;
export type RuleMatch = (typeof ruleMatches)[number];

/** Index into `ruleMatches`; undefined where it is not told, as of flows that come from the history. */
export function matchOf(text: string): number | undefined {
  const match = ruleMatches.indexOf(text.split(" ")[2] as RuleMatch);
  return match < 0 ? undefined : match;
}

export const changes = ["start", "update", "end"] as const;
export const places = ["local", "forwarded", "loopback"] as const;

/** What happened in an interval; consecutive batches of a run meet, unless `gap` says what lies between. */
export interface Coverage {
  readonly fromMs: number;
  readonly toMs: number;
  /** In this interval: counted by the kernel, in no flow. */
  readonly lostPackets: number;
  readonly lostBytes: number;
  /** Ring events without room. */
  readonly lostEvents: number;
  /** Packets for which the map took no flow. */
  readonly uncounted: number;
  /** Why `fromMs` is not the `toMs` of the batch before: "the clock stepped by -3600 s", "suspended for 12 s". */
  readonly gap?: string;
}

export interface RecordBatch {
  readonly count: number;
  /** `count` × RECORD_WORDS. */
  readonly words: Uint32Array;
  /** The first one is empty. */
  readonly strings: readonly string[];
  /** The first one is null. */
  readonly processes: readonly (FlowProcess | null)[];
  /** Source and destination of translated flows; the first one is empty. */
  readonly translations: readonly { readonly source: string; readonly destination: string }[];
  readonly coverage: Coverage;
}

/** A batch to read by index: numbers without an object, and the whole flow where somebody wants it. */
export interface RecordReader {
  readonly batch: RecordBatch;
  readonly words: Uint32Array;
  /** The same memory; a double at word `w` is `doubles[w / 2]`. */
  readonly doubles: Float64Array;
  change(index: number): (typeof changes)[number];
  flow(index: number): Flow;
}

export function readBatch(batch: RecordBatch): RecordReader {
  const { words } = batch;
  const doubles = new Float64Array(words.buffer, words.byteOffset, words.length / 2);
  return {
    batch,
    words,
    doubles,
    change: (index) => changes[(words[index * RECORD_WORDS] as number) & 0xff] as (typeof changes)[number],
    flow: (index) => flowOfRecord(batch, doubles, index),
  };
}

export function flowOfRecord(batch: RecordBatch, doubles: Float64Array, index: number): Flow {
  const { words, strings, processes, translations } = batch;
  const base = index * RECORD_WORDS;
  const at = (word: number): number => words[base + word] as number;
  const double = (word: number): number => doubles[(base + word) / 2] as number;
  const string = (word: number): string | null => {
    const text = at(word);
    return text === 0 ? null : (strings[text] as string);
  };
  const milliseconds = (word: number): number | null => (at(word) === 0 ? null : (at(word) - 1) / 1000);
  const kind = at(recordWord.kind);
  const protocol = at(recordWord.protocol) & 0xff;
  const flags = (at(recordWord.protocol) >>> 8) | (at(recordWord.protocol) >>> 16);
  const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
  const ports = isIcmp ? 0 : at(recordWord.ports);
  const icmp = at(recordWord.icmp);
  const application = at(recordWord.application);
  const translation = at(recordWord.translation);
  const translatedPorts = at(recordWord.translatedPorts);
  const cookie = (BigInt(at(recordWord.cookie + 1)) << 32n) | BigInt(at(recordWord.cookie));
  return {
    id: String(double(recordWord.idF64)),
    state: kind & 0x100 ? "active" : "ended",
    start: new Date(double(recordWord.startF64)).toISOString(),
    end: new Date(double(recordWord.endF64)).toISOString(),
    source: {
      ip: formatAddress(addressBytes(words, base + recordWord.source)),
      port: ports & 0xffff,
      name: string(recordWord.sourceNameString),
    },
    destination: {
      ip: formatAddress(addressBytes(words, base + recordWord.destination)),
      port: ports >>> 16,
      name: string(recordWord.destinationNameString),
    },
    protocol: protocolName(protocol),
    icmp: isIcmp
      ? {
          type: icmp >>> 8,
          code: icmp & 0xff,
          id: isEcho(protocol, icmp >>> 8) ? at(recordWord.ports) & 0xffff : 0,
        }
      : null,
    direction: kind >>> 24 ? "egress" : "ingress",
    place: places[placeOf(kind)] as Flow["place"],
    netns: at(recordWord.netns),
    interface: string(recordWord.interfaceString) ?? "",
    verdict: verdicts[verdictOf(kind)] as Flow["verdict"],
    rule: ruleOf(string(recordWord.ruleString)),
    bytes: { sent: double(recordWord.sentBytesF64), received: double(recordWord.receivedBytesF64) },
    packets: { sent: double(recordWord.sentPacketsF64), received: double(recordWord.receivedPacketsF64) },
    tcpFlags: tcpFlagNames(flags & 0xff),
    cookie: cookie === 0n ? null : cookie.toString(),
    process: processes[at(recordWord.process)] ?? null,
    peerProcess: processes[at(recordWord.peerProcess)] ?? null,
    translated:
      translation === 0
        ? null
        : {
            source: { ip: translations[translation]?.source ?? "", port: translatedPorts & 0xffff },
            destination: { ip: translations[translation]?.destination ?? "", port: translatedPorts >>> 16 },
          },
    application: applications[(application & 0xff) - 1] ?? null,
    tcp:
      at(recordWord.retransmits) === 0
        ? null
        : {
            connectMs: milliseconds(recordWord.connect),
            rttMs: milliseconds(recordWord.rtt),
            minRttMs: milliseconds(recordWord.minRtt),
            retransmits: at(recordWord.retransmits) - 1,
          },
    tls:
      application >>> 25 === 0
        ? null
        : {
            version: tlsVersion((application >>> 8) & 0xffff),
            serverName: string(recordWord.serverNameString),
            encryptedHello: ((application >>> 24) & 1) === 1,
          },
    requests:
      at(recordWord.requests) === 0
        ? null
        : {
            count: at(recordWord.requests),
            errors: at(recordWord.requestErrors),
            latencyMs: milliseconds(recordWord.requestLatency),
          },
    drops:
      at(recordWord.drops) === 0
        ? null
        : { packets: at(recordWord.drops), reason: string(recordWord.dropReasonString) ?? "" },
  };
}

function addressBytes(words: Uint32Array, at: number): Uint8Array {
  return new Uint8Array(words.buffer, words.byteOffset + at * 4, 16);
}

/** 0x0304 → 1.3; what no standard names stays a number. */
function tlsVersion(version: number): string | null {
  if (version === 0) return null;
  if (version === 0x0300) return "SSL 3.0";
  return version > 0x0300 && version <= 0x0304 ? `1.${version - 0x0301}` : `0x${version.toString(16)}`;
}
