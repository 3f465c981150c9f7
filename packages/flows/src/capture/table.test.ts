import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { INDEX_BITS } from "../kernel/flow-table.ts";
import {
  createDelta,
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

/** A flow in its kernel form: the so-manieth of its element. */
function flow(
  element: number,
  ordinal: number,
  packets: readonly [number, number],
  flags = 0,
  firstNs = ordinal,
): Uint32Array {
  const words = new Uint32Array(FLOW_WORDS);
  words[word.id] = (ordinal << INDEX_BITS) | element;
  words[word.id + 1] = ordinal >>> (32 - INDEX_BITS);
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
  if (slot !== UNKNOWN) return slot;
  table.end(table.occupant(words, 0));
  return table.add(key, 0, words, 0, delta);
}

test("a report brings what was added since the last one", () => {
  const table = createFlowTable(16, 16);
  const delta = createDelta();
  const slot = report(table, flow(7, 1, [3, 1]), delta);
  expect([...delta]).toEqual([3, 1, 300, 10, 0]);
  expect(report(table, flow(7, 1, [3, 1]), delta)).toBe(UNCHANGED);
  expect(table.isCurrent(flow(7, 1, [3, 1]), 0)).toBe(true);
  expect(table.isCurrent(flow(7, 1, [4, 1]), 0)).toBe(false);
  expect(report(table, flow(7, 1, [5, 4]), delta)).toBe(slot);
  expect([...delta]).toEqual([2, 3, 200, 30, 0]);
  // An older state that was queued meanwhile.
  expect(report(table, flow(7, 1, [4, 2]), delta)).toBe(UNCHANGED);
  expect(report(table, flow(7, 1, [5, 4], 32), delta)).toBe(slot);
  const { words, flow: at } = table.raw(slot);
  expect(words[at + word.flags]).toBe(32);
});

test("a packet of which only half was there is completed by the next report", () => {
  const table = createFlowTable(16, 16);
  const delta = createDelta();
  const half = flow(7, 1, [3, 0]);
  half[word.bytes] = 200;
  const slot = report(table, half, delta);
  expect(table.isCurrent(flow(7, 1, [3, 0]), 0)).toBe(false);
  expect(report(table, flow(7, 1, [3, 0]), delta)).toBe(slot);
  expect([...delta]).toEqual([0, 0, 100, 0, 0]);
});

test("an element's next flow is another one, and what comes late of the one before is known", () => {
  const table = createFlowTable(16, 16);
  const delta = createDelta();
  const first = report(table, flow(7, 1, [3, 0]), delta);
  expect(table.update(flow(7, 2, [1, 0]), 0, delta)).toBe(UNKNOWN);
  expect(table.occupant(flow(7, 2, [1, 0]), 0)).toBe(first);
  const second = report(table, flow(7, 2, [1, 0]), delta);
  expect([table.isActive(first), table.isActive(second), table.active]).toEqual([false, true, 1]);
  expect(table.update(flow(7, 1, [9, 0]), 0, delta)).toBe(UNCHANGED);
  table.end(second);
  expect(table.update(flow(7, 2, [9, 0]), 0, delta)).toBe(UNCHANGED);
  expect(table.slotOf(flow(7, 2, [9, 0]), 0)).toBe(-1);
  // Ids go on beyond a word.
  const late = report(table, flow(7, 600, [1, 0]), delta);
  expect(table.slotOfId((600 << INDEX_BITS) | 7, 600 >>> (32 - INDEX_BITS))).toBe(late);
});

test("the oldest that ended make room", () => {
  const table = createFlowTable(4, 3);
  const delta = createDelta();
  const slots = [1, 2, 3, 4, 5, 6, 7].map((ordinal) =>
    report(table, flow(ordinal % 4, ordinal, [1, 0]), delta),
  );
  expect([table.active, table.forgotten]).toEqual([4, 0]);
  expect(table.newestFirst()).toEqual([...slots].reverse());
  expect(report(table, flow(0, 8, [1, 0]), delta)).toBe(slots[0]);
  expect(table.newestFirst()).toEqual([slots[0], ...slots.slice(1).reverse()]);
  expect(table.forgotten).toBe(1);
});

test("ended flows beyond the recent ones are forgotten before memory is taken", () => {
  const table = createFlowTable(100, 2);
  const delta = createDelta();
  for (let id = 1; id <= 20; id++) table.end(report(table, flow(id, 1, [1, 0], 0, id), delta));
  const firsts = table.newestFirst().map((slot) => u64(table.raw(slot).words, KEY_WORDS + word.firstNs));
  expect(firsts).toEqual([20, 19, 18]);
});

test("it agrees with a plain map over a long life of reads, events and ends", () => {
  const random = seededRandom(7);
  const elements = 100;
  const table = createFlowTable(elements, 50);
  const delta = createDelta();
  /** By element. */
  const kernel = new Map<number, { ordinal: number; packets: [number, number] }>();
  const known = new Map<number, { ordinal: number; packets: [number, number] }>();
  let counted = 0;
  let expected = 0;
  let begun = 0;
  const enter = (element: number): void => {
    const now = kernel.get(element)!;
    const before = known.get(element);
    const same = before?.ordinal === now.ordinal ? before.packets : [0, 0];
    const words = flow(element, now.ordinal, now.packets);
    report(table, words, delta);
    counted += (delta[0] as number) + (delta[1] as number);
    expected += now.packets[0] - same[0]! + now.packets[1] - same[1]!;
    known.set(element, { ordinal: now.ordinal, packets: [...now.packets] });
  };
  for (let step = 0; step < 4000; step++) {
    const element = random.below(elements);
    const choice = random.below(10);
    if (choice < 4) {
      const ordinal = (kernel.get(element)?.ordinal ?? 0) + 1;
      kernel.set(element, { ordinal, packets: [1, 0] });
      begun++;
      if (choice < 3) enter(element);
    } else if (choice < 7) {
      for (const { packets } of kernel.values())
        if (random.below(2) === 0) packets[random.below(2) as 0 | 1]++;
    } else if (choice < 8) {
      const late = known.get(element);
      if (late === undefined) continue;
      table.end(table.slotOf(flow(element, late.ordinal, [0, 0]), 0));
      expect(table.update(flow(element, late.ordinal, [99, 99]), 0, delta)).toBe(UNCHANGED);
      known.delete(element);
      kernel.set(element, { ordinal: late.ordinal + 1000, packets: [0, 1] });
    } else {
      for (const one of kernel.keys()) enter(one);
      expect(table.active).toBe(known.size);
      for (const [one, { ordinal, packets }] of known) {
        const slot = table.slotOf(flow(one, ordinal, [0, 0]), 0);
        const { words, flow: at } = table.raw(slot);
        expect([one, words[at + word.packets], words[at + word.packets + 2]]).toEqual([one, ...packets]);
      }
    }
    expect(counted).toBe(expected);
  }
  expect(begun).toBeGreaterThan(300);
});
