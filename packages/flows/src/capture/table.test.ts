import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import {
  createFlowTable,
  type Delta,
  FLOW_WORDS,
  type FlowTable,
  KEY_WORDS,
  UNCHANGED,
  UNKNOWN,
  u64,
  word,
} from "./table.ts";

const key = new Uint32Array(KEY_WORDS);

/** A flow in its kernel form. */
function flow(id: number, packets: readonly [number, number], flags = 0, firstNs = id): Uint32Array {
  const words = new Uint32Array(FLOW_WORDS);
  words[word.id] = id;
  words[word.packets] = packets[0];
  words[word.packets + 2] = packets[1];
  words[word.bytes] = packets[0] * 100;
  words[word.bytes + 2] = packets[1] * 10;
  words[word.flags] = flags;
  words[word.firstNs] = firstNs;
  return words;
}

function report(table: FlowTable, words: Uint32Array, delta: Delta): number {
  delta.fill(0);
  const slot = table.update(words, 0, delta);
  return slot === UNKNOWN && table.room > 0 ? table.add(key, 0, words, 0, delta) : slot;
}

test("a report brings what was added since the last one", () => {
  const table = createFlowTable(16, 16);
  const delta = new Float64Array(4);
  const slot = report(table, flow(7, [3, 1]), delta);
  expect([...delta]).toEqual([3, 1, 300, 10]);
  expect(report(table, flow(7, [3, 1]), delta)).toBe(UNCHANGED);
  expect(report(table, flow(7, [5, 4]), delta)).toBe(slot);
  expect([...delta]).toEqual([2, 3, 200, 30]);
  // An older state that was queued meanwhile.
  expect(report(table, flow(7, [4, 2]), delta)).toBe(UNCHANGED);
  expect(report(table, flow(7, [5, 4], 32), delta)).toBe(slot);
  const { words, flow: at } = table.raw(slot);
  expect(words[at + word.flags]).toBe(32);
});

test("what a read does not meet is missing, and the oldest that ended make room", () => {
  const table = createFlowTable(4, 4);
  const delta = new Float64Array(4);
  const slots = [1, 2, 3, 4].map((id) => report(table, flow(id, [1, 0]), delta));
  expect(table.room).toBe(0);
  table.beginRead();
  for (const id of [1, 3]) report(table, flow(id, [2, 0]), delta);
  const missing = table.endRead();
  expect(missing.sort()).toEqual([slots[1], slots[3]]);
  for (const slot of missing) table.end(slot);
  expect([table.active, table.room]).toEqual([2, 2]);
  expect(table.newestFirst()).toEqual([slots[3], slots[2], slots[1], slots[0]]);
  expect(report(table, flow(5, [1, 0]), delta)).toBe(slots[1]);
  expect(table.forgotten).toBe(1);
});

test("ended flows beyond the recent ones are forgotten before memory is taken", () => {
  const table = createFlowTable(100, 2);
  const delta = new Float64Array(4);
  for (let id = 1; id <= 20; id++) table.end(report(table, flow(id, [1, 0]), delta));
  expect(table.newestFirst().map((slot) => u64(table.raw(slot).words, KEY_WORDS + word.id))).toEqual([
    20, 19, 18,
  ]);
});

test("it agrees with a plain map over a long life of reads, events and ends", () => {
  const random = seededRandom(7);
  const table = createFlowTable(300, 50);
  const delta = new Float64Array(4);
  const kernel = new Map<number, [number, number]>();
  const known = new Map<number, [number, number]>();
  let counted = 0;
  let expected = 0;
  let id = 0;
  const enter = (one: number): void => {
    const packets = kernel.get(one) ?? [0, 0];
    if (!known.has(one) && table.room === 0) return;
    const before = known.get(one) ?? [0, 0];
    report(table, flow(one, packets), delta);
    counted += (delta[0] as number) + (delta[1] as number);
    expected += packets[0] - before[0] + packets[1] - before[1];
    known.set(one, [...packets]);
  };
  for (let step = 0; step < 4000; step++) {
    const choice = random.below(10);
    if (choice < 4 && kernel.size < 100) {
      kernel.set(++id, [1, 0]);
      if (choice < 3) enter(id);
    } else if (choice < 7) {
      for (const packets of kernel.values()) if (random.below(2) === 0) packets[random.below(2) as 0 | 1]++;
    } else if (choice < 8) {
      // Evicted without a word.
      const gone = [...kernel.keys()][random.below(Math.max(1, kernel.size))];
      if (gone !== undefined) kernel.delete(gone);
    } else {
      table.beginRead();
      const order = [...kernel.keys()];
      for (const one of order) {
        enter(one);
        // An event in the middle of the read, of a flow that was or will be met.
        if (random.below(20) === 0) enter(order[random.below(order.length)]!);
        if (random.below(40) === 0 && kernel.size < 120) {
          kernel.set(++id, [1, 1]);
          enter(id);
        }
      }
      for (const slot of table.endRead()) {
        const { words, flow: at } = table.raw(slot);
        const ended = u64(words, at + word.id);
        expect(kernel.has(ended)).toBe(false);
        expect([words[at + word.packets], words[at + word.packets + 2]]).toEqual(known.get(ended));
        table.end(slot);
        known.delete(ended);
      }
      expect(table.active).toBe(known.size);
      for (const [one, packets] of known) {
        const slot = table.slotOf(flow(one, [0, 0]), 0);
        const { words, flow: at } = table.raw(slot);
        expect([one, words[at + word.packets], words[at + word.packets + 2]]).toEqual([one, ...packets]);
      }
    }
    expect(counted).toBe(expected);
  }
  expect(id).toBeGreaterThan(300);
});
