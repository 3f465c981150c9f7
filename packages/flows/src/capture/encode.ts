/**
 * Flows in their kernel form → records: the opener's side first, wall-clock times, strings and processes beside the
 * words. A batch grows as it fills and then belongs to whoever takes it.
 */
import type { FlowProcess } from "../flow.ts";
import { flowFlag } from "../generated/layout.ts";
import { type Coverage, places, RECORD_WORDS, type RecordBatch, recordWord } from "../recording/record.ts";
import { directionOf, type Names, placeOf } from "./describe.ts";
import { namespaceOf, openedBySecond, protocolOf, type Raw, u64, word } from "./table.ts";

/** What is known of a flow beside what the kernel's map tells; words in the order of the record's, from `application`. */
export interface Learned {
  readonly words: Uint32Array;
  readonly at: number;
  readonly serverName: string | undefined;
  readonly dropReason: string | undefined;
  readonly sourceName: string | undefined;
  readonly destinationName: string | undefined;
  readonly translated: Translated | undefined;
}

export interface Translated {
  readonly source: string;
  readonly destination: string;
  /** Source port, destination port << 16. */
  readonly ports: number;
}

/** Words that `Learned.words` holds: those of the record from `application` to `requestLatency`. */
export const LEARNED_WORDS: number = recordWord.translatedPorts - recordWord.application;

/** Counters as an earlier record of the flow told them: packets sent, received, bytes sent, received. */
export type Earlier = ArrayLike<number>;

const NO_EARLIER: Earlier = [0, 0, 0, 0];

export interface BatchWriter {
  readonly count: number;
  /** @param change index into `changes`. */
  add(raw: Raw, change: number, isActive: boolean, learned: Learned, earlier?: Earlier): void;
  /** Hands over what was added and begins anew. */
  take(coverage: Coverage): RecordBatch;
}

export function createBatchWriter(names: Names, capacity = 64): BatchWriter {
  let words = new Uint32Array(capacity * RECORD_WORDS);
  let doubles = new Float64Array(words.buffer);
  let count = 0;
  let strings = new Map<string, number>([["", 0]]);
  let processes = new Map<FlowProcess | null, number>([[null, 0]]);
  let translations: Translated[] = [{ source: "", destination: "", ports: 0 }];

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
    add(raw, change, isActive, learned, earlier = NO_EARLIER) {
      if ((count + 1) * RECORD_WORDS > words.length) grow();
      const base = count++ * RECORD_WORDS;
      const at = (offset: number): number => raw.words[raw.flow + offset] as number;
      const put = (offset: number, value: number): void => {
        words[base + offset] = value;
      };
      const putDouble = (offset: number, value: number): void => {
        doubles[(base + offset) / 2] = value;
      };
      const flags = at(word.flags);
      const source = openedBySecond(flags) ? 1 : 0;
      const destination = source === 0 ? 1 : 0;
      const kind = raw.words[raw.key + word.kind] as number;
      const ports = raw.words[raw.key + word.port] as number;
      const namespace = namespaceOf(kind);
      const start = names.wallMs(u64(raw.words, raw.flow + word.firstNs));
      const isOpen = isActive && (flags & flowFlag.closed) === 0;
      put(
        recordWord.kind,
        change |
          (isOpen ? 0x100 : 0) |
          (places.indexOf(placeOf(flags)) << 16) |
          (directionOf(flags, source) === "egress" ? 1 << 24 : 0),
      );
      put(recordWord.netns, names.namespaceInode(namespace));
      putDouble(recordWord.idF64, u64(raw.words, raw.flow + word.id));
      putDouble(recordWord.startF64, start);
      putDouble(recordWord.endF64, Math.max(start, names.wallMs(names.lastNs(at(word.last)))));
      for (let index = 0; index < 4; index++) {
        put(recordWord.source + index, raw.words[raw.key + 4 * source + index] as number);
        put(recordWord.destination + index, raw.words[raw.key + 4 * destination + index] as number);
      }
      put(recordWord.ports, source === 0 ? ports : (ports >>> 16) | (ports << 16));
      const tcpFlags = (side: number): number => (flags >>> (8 + 8 * side)) & 0xff;
      put(recordWord.protocol, protocolOf(kind) | (tcpFlags(source) << 8) | (tcpFlags(destination) << 16));
      put(recordWord.icmp, at(word.icmp) & 0xffff);
      put(recordWord.interfaceString, stringOf(names.interfaceName(namespace, at(word.ifindex))));
      putDouble(recordWord.sentPacketsF64, u64(raw.words, raw.flow + word.packets + 2 * source));
      putDouble(recordWord.receivedPacketsF64, u64(raw.words, raw.flow + word.packets + 2 * destination));
      putDouble(recordWord.sentBytesF64, u64(raw.words, raw.flow + word.bytes + 2 * source));
      putDouble(recordWord.receivedBytesF64, u64(raw.words, raw.flow + word.bytes + 2 * destination));
      for (let index = 0; index < 4; index++)
        doubles[(base + recordWord.earlierF64) / 2 + index] = earlier[index] as number;
      const process = (side: number): FlowProcess | null =>
        names.process(at(word.process + 2 * side), at(word.process + 2 * side + 1));
      const own = process(source);
      const peer = process(destination);
      const local = own === null ? destination : source;
      put(recordWord.cookie, at(word.cookie + 2 * local));
      put(recordWord.cookie + 1, at(word.cookie + 2 * local + 1));
      put(recordWord.process, processOf(own ?? peer));
      put(recordWord.peerProcess, own === null ? 0 : processOf(peer));
      put(recordWord.sourceNameString, stringOf(learned.sourceName));
      put(recordWord.destinationNameString, stringOf(learned.destinationName));
      put(recordWord.serverNameString, stringOf(learned.serverName));
      for (let index = 0; index < LEARNED_WORDS; index++)
        put(recordWord.application + index, learned.words[learned.at + index] as number);
      // What its port or its first byte told the kernel side.
      if (((words[base + recordWord.application] as number) & 0xff) === 0)
        put(recordWord.application, (flags >>> flowFlag.application) & 7);
      put(recordWord.dropReasonString, stringOf(learned.dropReason));
      put(recordWord.translatedPorts, learned.translated?.ports ?? 0);
      put(recordWord.translation, learned.translated === undefined ? 0 : translations.length);
      put(recordWord.translation + 1, 0);
      if (learned.translated !== undefined) translations.push(learned.translated);
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
      // As much room as last time: steady traffic then allocates once a batch.
      words = new Uint32Array(Math.max(capacity, count) * RECORD_WORDS);
      doubles = new Float64Array(words.buffer);
      count = 0;
      strings = new Map([["", 0]]);
      processes = new Map([[null, 0]]);
      translations = [{ source: "", destination: "", ports: 0 }];
      return batch;
    },
  };
}
