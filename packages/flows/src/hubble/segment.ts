/** A part of the window: records of many batches as one batch, with the order of what they show. */
import type { FlowEvent } from "../event.ts";
import type { FlowProcess } from "../flow.ts";
import {
  type Coverage,
  RECORD_WORDS,
  type RecordBatch,
  type RecordReader,
  readBatch,
  recordWord,
} from "../recording/record.ts";
import type { Lost } from "./order.ts";

/** Flows in a segment, and so at most its records: 229 kB of words. */
export const SEGMENT_FLOWS = 1024;

export interface Segment {
  readonly first: number;
  readonly batch: { -readonly [K in keyof RecordBatch]: RecordBatch[K] };
  readonly reader: RecordReader;
  readonly references: Uint32Array;
  readonly times: Float64Array;
  size: number;
  readonly strings: string[];
  readonly stringNumbers: Map<string, number>;
  readonly processes: (FlowProcess | null)[];
  readonly processNumbers: Map<string, number>;
  readonly translations: RecordBatch["translations"][number][];
  readonly events: FlowEvent[];
  readonly losses: Lost[];
}

const noCoverage: Coverage = {
  fromMs: 0,
  toMs: 0,
  lostPackets: 0,
  lostBytes: 0,
  lostEvents: 0,
  uncounted: 0,
};

export function segmentAt(first: number): Segment {
  const words = new Uint32Array(SEGMENT_FLOWS * RECORD_WORDS);
  const strings = [""];
  const processes = [null];
  const translations = [{ source: "", destination: "" }];
  const batch = { count: 0, words, strings, processes, translations, coverage: noCoverage };
  return {
    first,
    batch,
    reader: readBatch(batch),
    references: new Uint32Array(SEGMENT_FLOWS),
    times: new Float64Array(SEGMENT_FLOWS),
    size: 0,
    strings,
    stringNumbers: new Map([["", 0]]),
    processes,
    processNumbers: new Map(),
    translations,
    events: [],
    losses: [],
  };
}

const stringWords = [
  recordWord.interfaceString,
  recordWord.sourceNameString,
  recordWord.destinationNameString,
  recordWord.serverNameString,
  recordWord.ruleString,
  recordWord.dropReasonString,
];

/** Copies records of a batch into a segment, each once, with the numbers of their strings and processes changed. */
export function copier(segment: Segment, { batch, words }: RecordReader): (index: number) => number {
  const rows = new Map<number, number>();
  const stringOf = (text: string): number => {
    const known = segment.stringNumbers.get(text);
    if (known !== undefined) return known;
    const number = segment.strings.push(text) - 1;
    segment.stringNumbers.set(text, number);
    return number;
  };
  const processOf = (process: FlowProcess): number => {
    const { pid, comm, executable, cgroup, unit, container } = process;
    const key = [pid, comm, executable, cgroup, unit, container].join("\0");
    const known = segment.processNumbers.get(key);
    if (known !== undefined) return known;
    const number = segment.processes.push(process) - 1;
    segment.processNumbers.set(key, number);
    return number;
  };
  return (index) => {
    const known = rows.get(index);
    if (known !== undefined) return known;
    const row = segment.batch.count++;
    rows.set(index, row);
    const to = row * RECORD_WORDS;
    const own = segment.batch.words;
    own.set(words.subarray(index * RECORD_WORDS, (index + 1) * RECORD_WORDS), to);
    for (const word of stringWords) {
      const number = own[to + word] as number;
      if (number !== 0) own[to + word] = stringOf(batch.strings[number] as string);
    }
    for (const word of [recordWord.process, recordWord.peerProcess]) {
      const process = batch.processes[own[to + word] as number] ?? null;
      own[to + word] = process === null ? 0 : processOf(process);
    }
    const translation = own[to + recordWord.translation] as number;
    if (translation !== 0)
      own[to + recordWord.translation] =
        segment.translations.push(batch.translations[translation] ?? { source: "", destination: "" }) - 1;
    return row;
  };
}
