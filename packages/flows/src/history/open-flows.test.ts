import fc from "fast-check";
import { expect, test } from "vitest";
import { createOpenFlows } from "./open-flows.ts";

test("behaves as a map from flows to rows, and knows which blocks have a latest one", () => {
  const id = fc.oneof(
    fc.nat(20),
    fc.nat(20).map((low) => low + 2 ** 40),
  );
  const step = fc.oneof(
    fc.record({ put: id, block: fc.integer({ min: 1, max: 6 }), row: fc.nat(3000) }),
    fc.record({ end: id }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const open = createOpenFlows(64);
      const naive = new Map<number, { block: number; row: number }>();
      for (const each of steps)
        if ("put" in each) {
          open.put(each.put, each.block, each.row);
          naive.set(each.put, each);
        } else expect(open.delete(each.end)).toBe(naive.delete(each.end));
      expect(open.size).toBe(naive.size);
      for (const [flow, { block, row }] of naive) {
        expect(open.isLatest(flow, block, row)).toBe(true);
        expect(open.isLatest(flow, block, row + 1)).toBe(false);
        expect(open.blockOf(flow)).toBe(block);
      }
      const blocks = new Set([...naive.values()].map(({ block }) => block));
      expect(open.blocks()).toEqual([...blocks].sort((a, b) => a - b));
    }),
  );
});

test("what finds no place is counted", () => {
  const open = createOpenFlows(16);
  for (let flow = 0; flow < 20; flow++) open.put(flow, 1, flow);
  expect({ size: open.size, refused: open.refused }).toEqual({ size: 16, refused: 4 });
});
