import { expect, test } from "vitest";
import { type Coverage, recordWord } from "../recording/record.ts";
import { createBatchWriter, LEARNED_WORDS, type Learned } from "./encode.ts";
import { createRecorder, type RecordMessage, recorderLimits } from "./recorder.ts";
import { FLOW_WORDS, KEY_WORDS } from "./table.ts";

const raw = { words: new Uint32Array(KEY_WORDS + FLOW_WORDS), key: 0, flow: KEY_WORDS };
const learned: Learned = {
  words: new Uint32Array(LEARNED_WORDS),
  at: 0,
  serverName: undefined,
  dropReason: undefined,
  sourceName: undefined,
  destinationName: undefined,
  translated: undefined,
};

function rig(options: { readonly active?: boolean; readonly packets?: () => number } = {}) {
  const sent: RecordMessage[] = [];
  const writer = createBatchWriter({
    lastNs: () => 0,
    wallMs: () => 0,
    namespaceInode: () => 1,
    interfaceName: () => "eth0",
    rule: () => undefined,
    process: () => null,
  });
  const recorder = createRecorder({
    capacity: 16,
    writer,
    write: (_, change, earlier) => writer.add(raw, change, true, learned, earlier),
    isActive: () => options.active ?? false,
    counters: () => [options.packets?.() ?? 0, 0, 0, 0],
    send: (message) => void sent.push(message),
  });
  let toMs = 0;
  const second = (gap?: string): void => {
    const fromMs = toMs;
    toMs += 1000;
    const coverage: Coverage = { fromMs, toMs, lostPackets: 1, lostBytes: 0, lostEvents: 0, uncounted: 0 };
    recorder.flush(gap === undefined ? coverage : { ...coverage, gap });
  };
  const take = (index: number): void => recorder.taken(sent[index]?.batch.words.buffer as ArrayBuffer);
  return { sent, recorder, second, take };
}

test("records under way are bounded, and an interval that lacks some is a gap", () => {
  const { sent, recorder, second, take } = rig();
  for (let flow = 0; flow < recorderLimits.records - 1; flow++) recorder.started(0);
  second();
  expect(sent[0]?.batch).toMatchObject({
    count: recorderLimits.records - 1,
    coverage: { fromMs: 0, toMs: 1000 },
  });
  for (let flow = 0; flow < 11; flow++) recorder.started(0);
  expect(recorder.unrecorded).toBe(10);
  second();
  expect(sent[1]?.batch.count).toBe(1);
  expect(sent[1]?.batch.coverage).toMatchObject({
    fromMs: 2000,
    toMs: 2000,
    gap: "10 records were left out: the recording thread was busy",
  });
  take(0);
  recorder.started(0);
  second();
  expect(sent[2]?.batch).toMatchObject({ count: 1, coverage: { fromMs: 2000, toMs: 3000 } });
  expect(sent[2]?.batch.coverage.gap).toBeUndefined();
  expect(recorder.unrecorded).toBe(10);
});

test("where no batch is taken, no more are sent; what they would have covered comes later, as one", () => {
  const { sent, recorder, second, take } = rig();
  for (let batch = 0; batch < recorderLimits.batches + 3; batch++) second();
  expect(sent).toHaveLength(recorderLimits.batches);
  recorder.ended(0);
  take(0);
  second();
  expect(sent.at(-1)?.batch.coverage).toMatchObject({ fromMs: 12_000, toMs: 12_000, lostPackets: 4 });
  expect(sent.at(-1)?.batch.coverage.gap).toContain("1 records were left out");
});

test("gaps that meet while no batch is taken keep each its reason, within bounds", () => {
  const { sent, recorder, second, take } = rig();
  for (let batch = 0; batch < recorderLimits.batches; batch++) second();
  second("suspended for 12 s");
  second();
  second("the clock stepped by -3600 s");
  take(0);
  second();
  expect(sent.at(-1)?.batch.coverage.gap).toBe("suspended for 12 s; the clock stepped by -3600 s");
  for (let step = 0; step < 1000; step++) second(`the clock stepped by ${step} s`);
  recorder.started(0);
  take(1);
  second();
  expect(sent.at(-1)?.batch.coverage.gap?.length).toBeLessThan(1000);
});

test("what an update without room would have told is in the flow's next record", () => {
  let packets = 5;
  const { sent, recorder, second, take } = rig({ active: true, packets: () => packets });
  for (let record = 0; record < recorderLimits.records; record++) recorder.started(0);
  second();
  recorder.learned(0);
  second();
  take(0);
  packets = 9;
  recorder.learned(0);
  second();
  const { words } = (sent[2] as RecordMessage).batch;
  const doubles = new Float64Array(words.buffer, words.byteOffset);
  expect(sent[1]?.batch.count).toBe(0);
  // Nothing was told before: all of it is new.
  expect(doubles[recordWord.earlierF64 / 2]).toBe(0);
});

test("what is more than a part goes out before its second is over, and covers nothing by itself", () => {
  const { sent, recorder, second, take } = rig();
  second();
  const parts = recorderLimits.batches + 2;
  for (let flow = 0; flow < parts * recorderLimits.part + 5; flow++) recorder.started(0);
  expect(sent.slice(1).map(({ batch, isPart }) => [batch.count, isPart])).toEqual(
    Array.from({ length: parts }, () => [recorderLimits.part, true]),
  );
  expect(sent[1]?.batch.coverage).toMatchObject({ fromMs: 1000, toMs: 1000, lostPackets: 0 });
  // Parts count as records under way, not as seconds.
  second();
  expect(sent.at(-1)).toMatchObject({
    batch: { count: 5, coverage: { fromMs: 1000, toMs: 2000, lostPackets: 1 } },
    isPart: false,
  });
  for (let index = 0; index < sent.length; index++) take(index);
  expect(recorder.unrecorded).toBe(0);
});

test("memory of batches that were taken serves for later ones, and goes when it is too much", () => {
  const { sent, recorder, second, take } = rig();
  second();
  for (let flow = 0; flow < recorderLimits.part; flow++) recorder.started(0);
  const memory = sent[1]?.batch.words.buffer;
  take(0);
  take(1);
  for (let flow = 0; flow < 2 * recorderLimits.part; flow++) recorder.started(0);
  expect(sent.slice(2).some(({ batch }) => batch.words.buffer === memory)).toBe(true);
  take(2);
  take(3);
  second();
  second();
  second();
  expect(sent.at(-1)?.batch.words.buffer.byteLength).toBeLessThan(recorderLimits.part * 224);
});
