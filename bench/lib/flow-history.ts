/**
 * What a history must have of traffic that was written into it, checked without making ten million flows again: a sum
 * over the values of all rows, which any row that is missing, double or changed changes; whole flows for sampled
 * seconds; and for filters, all flows of the last minutes.
 */
import { crc32 } from "node:zlib";
import { seededRandom } from "@x0tta6bl4/core";
import { compileFilter } from "../../packages/flows/src/filter.ts";
import { type Flow, type FlowList, type FlowQuery, flowQuerySchema } from "../../packages/flows/src/flow.ts";
import { type Block, liveBlock } from "../../packages/flows/src/history/block.ts";
import { ACTIVE, column, columnNames, createRows, setRow } from "../../packages/flows/src/history/columns.ts";
import type { HistoryCalls } from "../../packages/flows/src/history/contract.ts";
import { compareCursors, cursorOf } from "../../packages/flows/src/history/cursor.ts";
import { createDictionaries } from "../../packages/flows/src/history/dictionaries.ts";
import { dictionaryOf } from "../../packages/flows/src/history/packed.ts";
import { qualified } from "../../packages/flows/src/history/rows.ts";
import { openStore } from "../../packages/flows/src/history/store.ts";
import { RECORD_WORDS, type RecordReader, recordWord } from "../../packages/flows/src/recording/record.ts";
import { summaryQuerySchema } from "../../packages/flows/src/summary/schema.ts";
import type { RecordTraffic } from "../../packages/flows/src/testing/record-traffic.ts";

/** Filters are compared on flows that began in the last so many seconds. */
const COMPARED_SECONDS = 300;
/** Seconds of which every flow is compared. */
const SAMPLES = 20;
const PAGE = 10_000;

export interface Answer {
  readonly query: FlowQuery;
  readonly flows: readonly Flow[];
}

export interface ExpectationOptions {
  readonly filters: readonly Partial<FlowQuery>[];
  readonly seed: number;
  /** Of the traffic, and the number of its only run. */
  readonly startMs: number;
  /** About as long as it will take. */
  readonly seconds: number;
}

export interface HistoryExpectation {
  /** What is being written. */
  take(reader: RecordReader): void;
  assertAnswers(answers: readonly Answer[], nowMs: number, note: (line: string) => void): void;
  assertSamples(flows: (query: FlowQuery) => Promise<FlowList>, note: (line: string) => void): Promise<void>;
  assertTotals(
    history: HistoryCalls,
    traffic: Pick<RecordTraffic, "nowMs">,
    note: (line: string) => void,
  ): Promise<void>;
  /** Of a folder that no process writes. */
  assertFiles(folder: string, flows: number, note: (line: string) => void): void;
}

export function expectHistory({ filters, seed, startMs, seconds }: ExpectationOptions): HistoryExpectation {
  const random = seededRandom(seed);
  const sampled = new Set(Array.from({ length: SAMPLES }, () => random.below(seconds)));
  const secondOf = (flowStartMs: number): number => Math.floor((flowStartMs - startMs) / 1000);
  const comparedFrom = seconds - COMPARED_SECONDS;
  /** Latest states, by id: of sampled seconds, and of the last ones. */
  const samples = new Map<string, Flow>();
  const latest = new Map<string, Flow>();
  const expected = createDigest();
  /** What a flow that goes on would add to the sum, if it ended as it was last told. */
  const open = new Map<number, readonly [number, number]>();
  const rows = createRows(65_536);
  const dictionaries = createDictionaries();
  let [bytes, packets] = [0, 0];

  const keep = (reader: RecordReader, index: number, second: number): void => {
    const flow = reader.flow(index);
    // What goes on when a run ends has ended with it.
    const whole: Flow = { ...flow, id: qualified(startMs, flow.id), state: "ended" };
    if (sampled.has(second)) samples.set(whole.id, whole);
    if (second >= comparedFrom) latest.set(whole.id, whole);
  };

  return {
    take(reader) {
      dictionaries.clear();
      dictionaries.begin(reader.batch);
      rows.count = 0;
      for (let index = 0; index < reader.batch.count; index++) {
        const base = (index * RECORD_WORDS) / 2;
        const double = (word: number): number => reader.doubles[base + word / 2] as number;
        packets += added(double, 0) + added(double, 2);
        bytes += added(double, 4) + added(double, 6);
        const second = secondOf(double(recordWord.startF64));
        if (second >= comparedFrom || sampled.has(second)) keep(reader, index, second);
        setRow(rows, rows.count++, reader, index, dictionaries);
      }
      const block = liveBlock(rows, dictionaries);
      const ids = block.column(column.id);
      for (const [row, digest] of digestsOf(block).entries()) {
        const id = ids[row] as number;
        if (reader.change(row) === "end") {
          expected.add(digest);
          open.delete(id);
        } else open.set(id, digest);
      }
    },
    assertAnswers(answers, nowMs, note) {
      const flows = [...latest.values()].sort((a, b) => compareCursors(cursorOf(a), cursorOf(b)));
      const from = new Date(startMs + comparedFrom * 1000).toISOString();
      for (const [index, { query, flows: answered }] of answers.entries()) {
        const matches = compileFilter(query, nowMs);
        const wanted = flows.filter((flow) => matches(flow)).slice(0, query.limit);
        const compared = answered.filter(({ start }) => start >= from);
        if (JSON.stringify(wanted) !== JSON.stringify(compared))
          throw new Error(
            `the filter ${JSON.stringify(filters[index])} does not answer what a filter over all flows does`,
          );
      }
      note(`each filter equals a filter over the ${flows.length} flows that began last`);
    },
    async assertSamples(ask, note) {
      const found = new Map<string, Flow>();
      for (const second of sampled) {
        const [since, until] = [0, 1000].map((ms) => new Date(startMs + second * 1000 + ms).toISOString());
        for (let after: string | null | undefined; after !== null; ) {
          const page = await ask(
            flowQuerySchema.parse({ since, until, limit: PAGE, ...(after === undefined ? {} : { after }) }),
          );
          for (const flow of page.flows) if (flow.start >= (since as string)) found.set(flow.id, flow);
          after = page.next;
        }
      }
      if (found.size !== samples.size) throw new Error(`${found.size} of ${samples.size} flows came back`);
      for (const [id, flow] of samples)
        if (JSON.stringify(found.get(id)) !== JSON.stringify(flow))
          throw new Error(`flow ${id} came back as ${JSON.stringify(found.get(id))}`);
      note(`all ${found.size} flows of ${sampled.size} sampled seconds came back as they were written`);
    },
    async assertTotals(history, { nowMs }, note) {
      const began = performance.now();
      const [since, until] = [startMs, nowMs].map((ms) => new Date(ms).toISOString());
      const { total } = await history.summary(summaryQuerySchema.parse({ since, until }));
      if (total.bytes !== bytes || total.packets !== packets)
        throw new Error(
          `${bytes} bytes in ${packets} packets were told, the summary has ${JSON.stringify(total)}`,
        );
      note(`the summary has all ${bytes} bytes; it took ${Math.round(performance.now() - began)} ms`);
    },
    assertFiles(folder, flows, note) {
      for (const digest of open.values()) expected.add(digest);
      const found = createDigest();
      const store = openStore({ folder, maxBytes: Number.MAX_VALUE, maxAgeMs: Number.MAX_VALUE });
      for (const { number, kind } of store.partitions.flatMap(({ entries }) => entries))
        if (kind === "flows")
          store.read(number, (file, entry) => {
            for (const digest of digestsOf(file.block(entry))) found.add(digest);
          });
      store[Symbol.dispose]();
      if (found.count !== flows || found.sum() !== expected.sum())
        throw new Error(`${flows} flows were written, ${found.count} are on disk, or they are not equal`);
      note(`all ${found.count} flows are on disk once, each value as it was written`);
    },
  };
}

/** What a record adds to a counter: 0 and 2 are packets, 4 and 6 bytes, each way. */
function added(double: (word: number) => number, counter: number): number {
  return double(recordWord.sentPacketsF64 + counter) - double(recordWord.earlierF64 + counter);
}

/** A sum over rows that does not depend on their order. */
function createDigest() {
  let low = 0;
  let high = 0;
  let count = 0;
  return {
    get count() {
      return count;
    },
    add([a, b]: readonly [number, number]): void {
      low = (low + a) % 2 ** 52;
      high = (high + b) % 2 ** 52;
      count++;
    },
    sum: () => `${low} ${high}`,
  };
}

/** Two hashes of each row's values; what was told before is left out: rows are put together. */
function digestsOf(block: Block): (readonly [number, number])[] {
  const low = new Uint32Array(block.count).fill(0x811c9dc5);
  const high = new Uint32Array(block.count).fill(0x9e3779b9);
  const mix = (row: number, value: number): void => {
    low[row] = Math.imul((low[row] as number) ^ value, 0x01000193) ^ ((low[row] as number) >>> 15);
    high[row] = Math.imul((high[row] as number) ^ value, 0x85ebca6b) ^ ((high[row] as number) >>> 13);
  };
  for (const [index, name] of columnNames.entries()) {
    if (name.startsWith("earlier")) continue;
    const values = block.column(index);
    const entries = entriesOf(block, index);
    for (let row = 0; row < block.count; row++) {
      let value = values[row] as number;
      // Start, update or end, and whether it goes on, are the row's, not the flow's.
      if (index === column.kind) value = (value - (value % 256)) & ~ACTIVE;
      if (entries !== undefined) value = entries(value);
      mix(row, value % 2 ** 32);
      mix(row, Math.floor(value / 2 ** 32));
    }
  }
  return Array.from(low, (word, row) => [word, high[row] as number] as const);
}

/** A hash of what an index of a column points to. */
function entriesOf(block: Block, index: number): ((entry: number) => number) | undefined {
  const dictionary = dictionaryOf.get(index);
  if (dictionary === undefined) return undefined;
  const known = new Map<number, number>();
  const bytes = new Uint8Array(16);
  const make = (entry: number): number => {
    if (dictionary !== "addresses") return crc32(JSON.stringify(block[dictionary][entry]));
    block.address(entry, bytes, 0);
    return crc32(bytes);
  };
  return (entry) => {
    const hash = known.get(entry) ?? make(entry);
    known.set(entry, hash);
    return hash;
  };
}
