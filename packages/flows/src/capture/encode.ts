/**
 * Flows in their kernel form → records: the opener's side first, wall-clock times, strings and processes beside the
 * words. A batch grows as it fills and then belongs to whoever takes it.
 */
import type { FlowProcess } from "../flow.ts";
import { flowFlag } from "../generated/layout.ts";
import { verdictIndex } from "../policy/enforce/verdict.ts";
import { type Coverage, places, RECORD_WORDS, type RecordBatch, recordWord } from "../recording/record.ts";
import { directionOf, type Names, placeOf } from "./describe.ts";
import { namespaceOf, openedBySecond, protocolOf, type Raw, u64, word } from "./table.ts";

/**
 * What is known of a flow beside what the kernel's map tells; words in the order of the record's, from `application`.
 * One object serves all: records are made for each flow of a flood.
 */
export interface Learned {
  readonly words: Uint32Array;
  at: number;
  serverName: string | undefined;
  dropReason: string | undefined;
  sourceName: string | undefined;
  destinationName: string | undefined;
  translated: Translated | undefined;
}

export interface Translated {
  readonly source: string;
  readonly destination: string;
  /** Source port, destination port << 16. */
  readonly ports: number;
}

/** Words that `Learned.words` holds: those of the record from `application` to `requestLatency`. */
export const LEARNED_WORDS: number = recordWord.translatedPorts - recordWord.application;

/**
 * Counters as an earlier record of the flow told them: packets sent, received, bytes sent, received. `own` makes a
 * record that adds nothing.
 */
export type Earlier = ArrayLike<number> | "own";

const NONE = 0xffff_ffff;
/** Batches of a flood: 7 MB in parts. */
const MOST_SPARES = 8;
/** Memory is kept for a batch of an eighth of it, not for less. */
const MOST_ROOM = 8;

export interface BatchWriter {
  readonly count: number;
  /** @param change index into `changes`. */
  add(raw: Raw, change: number, isActive: boolean, learned: Learned, earlier?: Earlier): void;
  /** Hands over what was added and begins anew. */
  take(coverage: Coverage): RecordBatch;
  /** Memory of a batch that is no longer needed, for one to come. */
  reuse(memory: ArrayBuffer): void;
}

export function createBatchWriter(names: Names, capacity = 64): BatchWriter {
  const room = (records: number): Uint32Array<ArrayBuffer> => new Uint32Array(records * RECORD_WORDS);
  let words = room(capacity);
  let doubles = new Float64Array(words.buffer);
  let count = 0;
  let strings = new Map<string, number>([["", 0]]);
  let processes = new Map<FlowProcess | null, number>([[null, 0]]);
  let translations: Translated[] = [{ source: "", destination: "", ports: 0 }];

  let spares: ArrayBuffer[] = [];
  /** Of the latest record: the next one mostly has the same. */
  let lastNamespace = NONE;
  let lastInterface = NONE;
  let inode = 0;
  let interfaceString = 0;

  const locate = (namespace: number, index: number): void => {
    if (namespace === lastNamespace && index === lastInterface) return;
    lastNamespace = namespace;
    lastInterface = index;
    inode = names.namespaceInode(namespace);
    interfaceString = stringOf(names.interfaceName(namespace, index));
  };
  const grow = (): void => {
    const larger = new Uint32Array(2 * words.length);
    larger.set(words);
    words = larger;
    doubles = new Float64Array(words.buffer);
  };
  const stringOf = (text: string | undefined): number => {
    if (text === undefined) return 0;
    const known = strings.get(text);
    if (known !== undefined) return known;
    strings.set(text, strings.size);
    return strings.size - 1;
  };
  const processOf = (process: FlowProcess | null): number => {
    const known = processes.get(process);
    if (known !== undefined) return known;
    processes.set(process, processes.size);
    return processes.size - 1;
  };

  return {
    get count() {
      return count;
    },
    add({ words: from, key, flow }, change, isActive, learned, earlier) {
      if ((count + 1) * RECORD_WORDS > words.length) grow();
      const base = count++ * RECORD_WORDS;
      const half = base / 2;
      const flags = from[flow + word.flags] as number;
      const source = openedBySecond(flags) ? 1 : 0;
      const destination = source === 0 ? 1 : 0;
      const kind = from[key + word.kind] as number;
      const ports = from[key + word.port] as number;
      const start = names.wallMs(u64(from, flow + word.firstNs));
      const isOpen = isActive && (flags & flowFlag.closed) === 0;
      const verdict = from[flow + word.verdict] as number;
      locate(namespaceOf(kind), from[flow + word.ifindex] as number);
      words[base + recordWord.kind] =
        change |
        (isOpen ? 0x100 : 0) |
        (places.indexOf(placeOf(flags)) << 16) |
        (verdictIndex(verdict) << 20) |
        (directionOf(flags, source) === "egress" ? 1 << 24 : 0);
      words[base + recordWord.netns] = inode;
      doubles[half + recordWord.idF64 / 2] = u64(from, flow + word.id);
      doubles[half + recordWord.startF64 / 2] = start;
      doubles[half + recordWord.endF64 / 2] = Math.max(
        start,
        names.wallMs(names.lastNs(from[flow + word.last] as number)),
      );
      for (let index = 0; index < 4; index++) {
        words[base + recordWord.source + index] = from[key + 4 * source + index] as number;
        words[base + recordWord.destination + index] = from[key + 4 * destination + index] as number;
      }
      words[base + recordWord.ports] = source === 0 ? ports : (ports >>> 16) | (ports << 16);
      words[base + recordWord.protocol] =
        protocolOf(kind) |
        (((flags >>> (8 + 8 * source)) & 0xff) << 8) |
        (((flags >>> (8 + 8 * destination)) & 0xff) << 16);
      words[base + recordWord.icmp] = (from[flow + word.icmp] as number) & 0xffff;
      words[base + recordWord.interfaceString] = interfaceString;
      const counters = half + recordWord.sentPacketsF64 / 2;
      doubles[counters] = u64(from, flow + word.packets + 2 * source);
      doubles[counters + 1] = u64(from, flow + word.packets + 2 * destination);
      doubles[counters + 2] = u64(from, flow + word.bytes + 2 * source);
      doubles[counters + 3] = u64(from, flow + word.bytes + 2 * destination);
      for (let index = 0; index < 4; index++)
        doubles[half + recordWord.earlierF64 / 2 + index] =
          earlier === undefined
            ? 0
            : ((earlier === "own" ? doubles[counters + index] : earlier[index]) as number);
      const owner = flow + word.process;
      const own = names.process(from[owner + 2 * source] as number, from[owner + 2 * source + 1] as number);
      const peer = names.process(
        from[owner + 2 * destination] as number,
        from[owner + 2 * destination + 1] as number,
      );
      const cookie = flow + word.cookie + 2 * (own === null ? destination : source);
      words[base + recordWord.cookie] = from[cookie] as number;
      words[base + recordWord.cookie + 1] = from[cookie + 1] as number;
      words[base + recordWord.process] = processOf(own ?? peer);
      words[base + recordWord.peerProcess] = own === null ? 0 : processOf(peer);
      words[base + recordWord.sourceNameString] = stringOf(learned.sourceName);
      words[base + recordWord.destinationNameString] = stringOf(learned.destinationName);
      words[base + recordWord.serverNameString] = stringOf(learned.serverName);
      for (let index = 0; index < LEARNED_WORDS; index++)
        words[base + recordWord.application + index] = learned.words[learned.at + index] as number;
      // What its port or its first byte told the kernel side.
      if (((words[base + recordWord.application] as number) & 0xff) === 0)
        words[base + recordWord.application] = (flags >>> flowFlag.application) & 7;
      words[base + recordWord.dropReasonString] = stringOf(learned.dropReason);
      const { translated } = learned;
      words[base + recordWord.translatedPorts] = translated?.ports ?? 0;
      words[base + recordWord.translation] = translated === undefined ? 0 : translations.length;
      words[base + recordWord.ruleString] = verdict === 0 ? 0 : stringOf(names.rule(verdict));
      if (translated !== undefined) translations.push(translated);
    },
    take(coverage) {
      const batch = {
        count,
        words: words.subarray(0, count * RECORD_WORDS),
        strings: [...strings.keys()],
        processes: [...processes.keys()],
        translations,
        coverage,
      };
      const needed = Math.max(capacity, count);
      // After a flood its memory is given back to the system.
      spares = spares.filter(({ byteLength }) => byteLength <= MOST_ROOM * needed * RECORD_WORDS * 4);
      // What came back from an earlier batch; else as much room as this one took.
      const spare = spares.pop();
      words = spare === undefined ? room(needed) : new Uint32Array(spare);
      doubles = new Float64Array(words.buffer);
      count = 0;
      lastNamespace = NONE;
      strings = new Map([["", 0]]);
      processes = new Map([[null, 0]]);
      translations = [{ source: "", destination: "", ports: 0 }];
      return batch;
    },
    reuse(memory) {
      if (spares.length < MOST_SPARES && memory.byteLength >= capacity * RECORD_WORDS * 4)
        spares.push(memory);
    },
  };
}
