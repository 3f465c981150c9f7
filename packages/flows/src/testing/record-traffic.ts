/**
 * Seeded traffic of a busy host as record batches, one a second, for tests and benches of what stores or sends
 * records: no kernel, no wall clock, hundreds of thousands of flows a second. The mix is that of a web server with
 * databases behind it, resolvers, monitoring and the scans that each public address gets; what cannot be compressed
 * in reality (ephemeral ports, sizes, times, round trips, cookies) is drawn at random here.
 */
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { applications } from "../application.ts";
import type { FlowProcess } from "../flow.ts";
import { protocolNumbers, tcpFlag } from "../protocols.ts";
import { changes, RECORD_WORDS, type RecordBatch, recordWord } from "../recording/record.ts";
import {
  ANY_PORT,
  hostKinds,
  type Kind,
  LOOPBACK_WORD,
  MAPPED_WORD,
  type Peer,
  words,
} from "./host-traffic.ts";

export interface RecordTrafficOptions {
  readonly seed: number;
  readonly startMs: number;
  /** On average; a second has between half and one and a half times as many. */
  readonly flowsPerSecond: number;
  /** Default 300, as the capture does it. */
  readonly updateSeconds?: number;
}

export interface RecordTraffic {
  /** What began since the start. */
  readonly flows: number;
  readonly records: number;
  /** Flows whose end has not come. */
  readonly active: number;
  readonly nowMs: number;
  /** The next second. */
  next(): RecordBatch;
}

const POOL_GROWTH = 65_536;

export function recordTraffic(options: RecordTrafficOptions): RecordTraffic {
  const { seed, flowsPerSecond, updateSeconds = 300 } = options;
  const random = seededRandom(seed);
  const strings: string[] = [""];
  const string = (text: string): number => strings.push(text) - 1;
  const [lo, eth0] = [string("lo"), string("eth0")];
  const own = ["198.51.100.7", "2001:db8:7::7"].map(words);
  const kinds = hostKinds(random, string);
  const weights = kinds.map((kind) => kind.weight);
  const reason = string("TCP_RETRANSMIT_TIMEOUT");
  const gaussian = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const logNormal = (median: number, spread: number): number => median * Math.exp(spread * gaussian());

  let pool = new Uint32Array(0);
  let poolDoubles = new Float64Array(0);
  let poolKinds = new Uint8Array(0);
  /** Whether counts of the flow were told; a start tells none, as the capture has it. */
  let poolTold = new Uint8Array(0);
  const poolProcesses: (FlowProcess | null)[] = [];
  let free: number[] = [];
  /** Second → what happens to which slots then. */
  const due = new Map<number, number[]>();
  const sequences = new Float64Array(8);
  let cookie = 1_000_000;
  let pid = 10_000;
  let second = 0;
  let flows = 0;
  let records = 0;
  let active = 0;

  const grow = (): void => {
    const slots = poolKinds.length + POOL_GROWTH;
    const words = new Uint32Array(slots * RECORD_WORDS);
    words.set(pool);
    const kindsOf = new Uint8Array(slots);
    kindsOf.set(poolKinds);
    free = Array.from({ length: POOL_GROWTH }, (_, index) => slots - 1 - index);
    pool = words;
    poolDoubles = new Float64Array(words.buffer);
    poolKinds = kindsOf;
    const toldOf = new Uint8Array(slots);
    toldOf.set(poolTold);
    poolTold = toldOf;
  };
  const plan = (at: number, slot: number): void => {
    const slots = due.get(at);
    if (slots === undefined) due.set(at, [slot]);
    else slots.push(slot);
  };

  const begin = (startMs: number): number => {
    if (free.length === 0) grow();
    const slot = free.pop() as number;
    const base = slot * RECORD_WORDS;
    pool.fill(0, base, base + RECORD_WORDS);
    const set = (word: number, value: number): void => {
      pool[base + word] = value;
    };
    const double = (word: number, value: number): void => {
      poolDoubles[(base + word) / 2] = value;
    };
    const which = weighted(random, weights);
    const kind = kinds[which] as Kind;
    poolKinds[slot] = which;
    poolTold[slot] = 0;
    // Squared: few peers are frequent, many are rare.
    const peer = kind.peers[Math.floor(random.next() ** 3 * kind.peers.length)] as Peer;
    const isLoopback = peer.address[3] === LOOPBACK_WORD;
    const isV6 = peer.address[2] !== MAPPED_WORD;
    const mine = isLoopback ? peer.address : (own[isV6 ? 1 : 0] as Uint32Array);
    const cpu = random.below(sequences.length);
    sequences[cpu] = (sequences[cpu] as number) + 1;
    double(recordWord.idF64, (sequences[cpu] as number) * 1024 + cpu);
    double(recordWord.startF64, startMs);
    set(recordWord.kind, (isLoopback ? 2 << 16 : 0) | (kind.isInbound ? 0 : 1 << 24));
    set(recordWord.netns, 4_026_531_840);
    pool.set(kind.isInbound ? peer.address : mine, base + recordWord.source);
    pool.set(kind.isInbound ? mine : peer.address, base + recordWord.destination);
    set(kind.isInbound ? recordWord.sourceNameString : recordWord.destinationNameString, peer.name);
    const isIcmp = kind.protocol === protocolNumbers.icmp;
    const port = kind.port === ANY_PORT ? 1 + random.below(10_000) : kind.port;
    const ephemeral = 32_768 + random.below(28_232);
    set(recordWord.ports, isIcmp ? ephemeral | (ephemeral << 16) : ephemeral | (port << 16));
    if (isIcmp) set(recordWord.icmp, 8 << 8);
    set(recordWord.interfaceString, isLoopback ? lo : eth0);
    set(recordWord.application, kind.application === null ? 0 : applications.indexOf(kind.application) + 1);
    if (kind.application === "tls")
      set(
        recordWord.application,
        (pool[base + recordWord.application] as number) | (0x0304 << 8) | (1 << 25),
      );
    if (kind.application === "tls" && !kind.isInbound) set(recordWord.serverNameString, peer.name);
    const [process] = kind.process.length === 0 ? [null] : [kind.process[random.below(kind.process.length)]];
    poolProcesses[slot] = process == null ? null : kind.forks === true ? { ...process, pid: pid++ } : process;
    if (pid > 4_194_304) pid = 300;
    if (kind.process.length > 0) {
      cookie += 1 + random.below(12);
      set(recordWord.cookie, cookie >>> 0);
      set(recordWord.cookie + 1, Math.floor(cookie / 2 ** 32));
    }
    const rtt = Math.max(20, Math.round(logNormal(peer.rttUs, 0.25)));
    if (kind.protocol === protocolNumbers.tcp && kind.process.length > 0) {
      if (!kind.isInbound) set(recordWord.connect, rtt + random.below(200) + 1);
      set(recordWord.rtt, rtt + 1);
      set(recordWord.minRtt, Math.round(rtt * (0.6 + 0.4 * random.next())) + 1);
      set(recordWord.retransmits, 1 + (random.next() < 0.04 ? 1 + random.below(6) : 0));
    }
    if (random.next() < 0.002) {
      set(recordWord.drops, 1 + random.below(4));
      set(recordWord.dropReasonString, reason);
    }
    const durationMs = kind.answered ? rtt / 500 + logNormal(kind.durationMs, kind.spread) : 0;
    double(recordWord.endF64, startMs + durationMs);
    // As at the first packet; `advance` fills in the rest.
    double(recordWord.sentPacketsF64, 1);
    double(recordWord.sentBytesF64, kind.protocol === protocolNumbers.tcp ? 60 : 28 + Math.round(kind.sent));
    set(recordWord.protocol, kind.protocol | (kind.protocol === protocolNumbers.tcp ? tcpFlag.SYN << 8 : 0));
    plan(Math.max(second, Math.floor((startMs + durationMs - options.startMs) / 1000)), slot);
    flows++;
    active++;
    return slot;
  };

  /** What the flow has become: all of it at its end, some of it before. */
  const advance = (slot: number, isEnd: boolean): void => {
    const base = slot * RECORD_WORDS;
    const kind = kinds[poolKinds[slot] as number] as Kind;
    const d = base / 2;
    if (poolTold[slot] === 1) {
      const counters = d + recordWord.sentPacketsF64 / 2;
      poolDoubles.copyWithin(d + recordWord.earlierF64 / 2, counters, counters + 4);
    }
    poolTold[slot] = 1;
    const isTcp = kind.protocol === protocolNumbers.tcp;
    const share = isEnd ? 1 : 0.2;
    const header = isTcp ? 52 : 28;
    const add = (at: number, bytes: number): number => {
      const packets = Math.max(1, Math.ceil(bytes / 1400));
      poolDoubles[d + (recordWord.sentPacketsF64 + at) / 2] =
        (poolDoubles[d + (recordWord.sentPacketsF64 + at) / 2] as number) + packets;
      poolDoubles[d + (recordWord.sentBytesF64 + at) / 2] =
        (poolDoubles[d + (recordWord.sentBytesF64 + at) / 2] as number) +
        Math.round(bytes) +
        packets * header;
      return packets;
    };
    if (kind.answered) {
      if (isTcp) add(0, logNormal(kind.sent, kind.spread) * share);
      add(2, logNormal(kind.received, kind.spread) * share);
      if (isTcp) {
        const flags = tcpFlag.SYN | tcpFlag.ACK | tcpFlag.PSH | (isEnd ? tcpFlag.FIN : 0);
        const reset = isEnd && random.next() < 0.05 ? tcpFlag.RST : 0;
        pool[base + recordWord.protocol] = kind.protocol | ((flags | reset) << 8) | (flags << 16);
      }
    }
  };

  return {
    get flows() {
      return flows;
    },
    get records() {
      return records;
    },
    get active() {
      return active;
    },
    get nowMs() {
      return options.startMs + second * 1000;
    },
    next() {
      const fromMs = options.startMs + second * 1000;
      const toMs = fromMs + 1000;
      const count = Math.round(flowsPerSecond * (0.5 + random.next()));
      const slots: number[] = [];
      const copies: Uint32Array[] = [];
      const tell = (slot: number, change: (typeof changes)[number]): void => {
        const record = pool.slice(slot * RECORD_WORDS, (slot + 1) * RECORD_WORDS);
        const state = change === "end" ? 0 : 0x100;
        record[recordWord.kind] = (record[recordWord.kind] as number) | changes.indexOf(change) | state;
        const end = new Float64Array(record.buffer);
        // A flow that goes on has had its latest packet by now.
        if (change === "start") {
          end[recordWord.endF64 / 2] = end[recordWord.startF64 / 2] as number;
          end.copyWithin(recordWord.earlierF64 / 2, recordWord.sentPacketsF64 / 2, recordWord.earlierF64 / 2);
        } else if (change === "update") end[recordWord.endF64 / 2] = toMs - 1 - random.below(999);
        slots.push(slot);
        copies.push(record);
      };
      for (let index = 0; index < count; index++)
        tell(begin(fromMs + (1000 * (index + random.next())) / count), "start");
      const updates = due.get(-1 - second) ?? [];
      due.delete(-1 - second);
      for (const slot of updates) {
        advance(slot, false);
        tell(slot, "update");
      }
      const ends = due.get(second) ?? [];
      due.delete(second);
      for (const slot of ends) {
        const seconds = (poolDoubles[(slot * RECORD_WORDS + recordWord.endF64) / 2] as number) - toMs;
        if (seconds >= 0) throw new Error("a flow ends before its time");
        advance(slot, true);
        tell(slot, "end");
        active--;
      }
      for (let index = 0; index < count; index++) {
        const slot = slots[index] as number;
        const lasts = (poolDoubles[(slot * RECORD_WORDS + recordWord.endF64) / 2] as number) - toMs;
        for (let at = updateSeconds; at * 1000 < lasts; at += updateSeconds) plan(-1 - second - at, slot);
      }
      const batch = assemble(copies, slots, poolProcesses, strings, fromMs, toMs);
      for (const slot of ends) free.push(slot);
      records += slots.length;
      second++;
      return batch;
    },
  };
}

const stringWords = [
  recordWord.interfaceString,
  recordWord.sourceNameString,
  recordWord.destinationNameString,
  recordWord.serverNameString,
  recordWord.dropReasonString,
] as const;

function assemble(
  copies: readonly Uint32Array[],
  slots: readonly number[],
  processesOf: readonly (FlowProcess | null)[],
  strings: readonly string[],
  fromMs: number,
  toMs: number,
): RecordBatch {
  const words = new Uint32Array(copies.length * RECORD_WORDS);
  const localStrings = [""];
  const stringAt = new Map<number, number>([[0, 0]]);
  const processes: (FlowProcess | null)[] = [null];
  const processAt = new Map<FlowProcess | null, number>([[null, 0]]);
  for (const [index, copy] of copies.entries()) {
    for (const word of stringWords) {
      const text = copy[word] as number;
      let local = stringAt.get(text);
      if (local === undefined) {
        local = localStrings.push(strings[text] as string) - 1;
        stringAt.set(text, local);
      }
      copy[word] = local;
    }
    const process = processesOf[slots[index] as number] ?? null;
    let local = processAt.get(process);
    if (local === undefined) {
      local = processes.push(process) - 1;
      processAt.set(process, local);
    }
    copy[recordWord.process] = local;
    words.set(copy, index * RECORD_WORDS);
  }
  return {
    count: copies.length,
    words,
    strings: localStrings,
    processes,
    translations: [{ source: "", destination: "" }],
    coverage: { fromMs, toMs, lostPackets: 0, lostBytes: 0, lostEvents: 0, uncounted: 0 },
  };
}

function weighted(random: Random, weights: readonly number[]): number {
  let left = random.next() * weights.reduce((sum, weight) => sum + weight, 0);
  for (const [index, weight] of weights.entries()) {
    left -= weight;
    if (left < 0) return index;
  }
  return weights.length - 1;
}
