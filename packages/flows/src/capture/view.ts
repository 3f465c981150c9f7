/** A slot of the flow table with everything that is known of it: as a record, and as a `Flow`. */
import type { Flow } from "../flow.ts";
import type { NameTable } from "../insight/names.ts";
import { type Coverage, flowOfRecord } from "../recording/record.ts";
import type { Names } from "./describe.ts";
import { type BatchWriter, createBatchWriter, type Earlier, type Learned } from "./encode.ts";
import type { Joins } from "./joins.ts";
import type { LearnedStore } from "./learned-store.ts";
import { type FlowTable, openedBySecond, type Raw, u64, word } from "./table.ts";

export interface FlowView {
  /** The flow's words, those of its other half added; valid until the next call. */
  raw(slot: number): Raw;
  flow(slot: number): Flow;
  /** Many at once, which costs less. */
  flows(slots: readonly number[]): Flow[];
  write(writer: BatchWriter, slot: number, change: number, earlier?: Earlier): void;
  /** Packets sent and received, bytes sent and received. */
  counters(slot: number): readonly [number, number, number, number];
}

export interface ViewOptions {
  readonly table: FlowTable;
  readonly joins: Joins;
  readonly learned: LearnedStore;
  readonly names: Names;
  readonly dnsNames: () => NameTable;
  readonly reasonName: (reason: number) => string;
  readonly nowMs: () => number;
}

const noCoverage: Coverage = {
  fromMs: 0,
  toMs: 0,
  lostPackets: 0,
  lostBytes: 0,
  lostEvents: 0,
  uncounted: 0,
};

export function createView(options: ViewOptions): FlowView {
  const { table, joins, learned, names, dnsNames, reasonName, nowMs } = options;
  const scratch = createBatchWriter(names, 1);

  const raw = (slot: number): Raw => joins.complete(slot, table.raw(slot));
  const known: Learned = {
    words: learned.words,
    at: 0,
    serverName: undefined,
    dropReason: undefined,
    sourceName: undefined,
    destinationName: undefined,
    translated: undefined,
  };
  const learnedOf = (slot: number, { words, key, flow }: Raw): Learned => {
    const reason = learned.dropReason(slot);
    known.at = learned.at(slot);
    known.serverName = learned.serverName(slot);
    known.dropReason = reason === 0 ? undefined : reasonName(reason);
    known.translated = joins.translatedOf(slot);
    known.sourceName = undefined;
    known.destinationName = undefined;
    const dns = dnsNames();
    if (dns.size > 0) {
      const opener = openedBySecond(words[flow + word.flags] as number) ? 4 : 0;
      const now = nowMs();
      known.sourceName = dns.nameOf(words, key + opener, now);
      known.destinationName = dns.nameOf(words, key + 4 - opener, now);
    }
    return known;
  };
  const write = (writer: BatchWriter, slot: number, change: number, earlier?: Earlier): void => {
    const copy = raw(slot);
    writer.add(copy, change, table.isActive(slot), learnedOf(slot, copy), earlier);
  };
  const flows = (slots: readonly number[]): Flow[] => {
    for (const slot of slots) write(scratch, slot, 0);
    const batch = scratch.take(noCoverage);
    const doubles = new Float64Array(batch.words.buffer);
    return slots.map((_, index) => flowOfRecord(batch, doubles, index));
  };
  return {
    raw,
    write,
    flows,
    flow: (slot) => flows([slot])[0] as Flow,
    counters(slot) {
      const { words, flow } = raw(slot);
      const opener = openedBySecond(words[flow + word.flags] as number) ? 2 : 0;
      const count = (what: number, side: number): number => u64(words, flow + what + side);
      return [
        count(word.packets, opener),
        count(word.packets, 2 - opener),
        count(word.bytes, opener),
        count(word.bytes, 2 - opener),
      ];
    },
  };
}
