import fc from "fast-check";
import { expect, test } from "vitest";
import { newestFirst } from "./query.ts";
import { endpointKey, FlowRows } from "./rows.ts";
import type { Flow } from "./shapes.ts";
import { flow as anyFlow } from "./testing/flow.ts";

function flow(id: number, change: Partial<Flow> = {}): Flow {
  const at = new Date(1_700_000_000_000 + id * 1000).toISOString();
  const counters = { bytes: { sent: id, received: 0 }, packets: { sent: 1, received: 0 } };
  return anyFlow({ id: String(id), start: at, end: at, ...counters, ...change });
}

const ids = (rows: FlowRows): number[] => rows.order.map((row) => Number(row.id));

test("newest first, whatever the order of arrival", () => {
  const rows = new FlowRows(newestFirst);
  for (const id of [3, 11, 1, 2]) rows.put(flow(id));
  expect(rows.pending).toBe(4);
  rows.settle();
  expect(ids(rows)).toEqual([11, 3, 2, 1]);
  expect(rows.pending).toBe(0);
});

test("until it settles a change shows in its row and moves nothing", () => {
  const rows = new FlowRows({ key: "sent", descending: true });
  for (const id of [1, 2]) rows.put(flow(id));
  rows.settle();
  const before = rows.order;
  rows.put(flow(1, { bytes: { sent: 9000, received: 0 }, packets: { sent: 2, received: 0 } }));
  rows.put(flow(3));
  expect(rows.order).toBe(before);
  expect(rows.order.map((row) => row.flow.bytes.sent)).toEqual([2, 9000]);
  rows.settle();
  expect(ids(rows)).toEqual([1, 3, 2]);
});

test("a list that is older than the live stream takes nothing back", () => {
  const rows = new FlowRows(newestFirst);
  rows.put(flow(1, { packets: { sent: 5, received: 5 } }));
  rows.put(flow(1, { packets: { sent: 4, received: 5 } }));
  expect(rows.get("1")?.flow.packets.sent).toBe(5);
  rows.put(flow(1, { state: "ended", packets: { sent: 5, received: 5 } }));
  rows.put(flow(1, { packets: { sent: 5, received: 5 } }));
  expect(rows.get("1")?.flow.state).toBe("ended");
  expect(rows.active).toBe(0);
});

test("beyond the limit the flows that ended first are let go, active ones never", () => {
  const rows = new FlowRows(newestFirst, 20);
  for (let id = 0; id < 30; id++) rows.put(flow(id, { state: id < 5 ? "active" : "ended" }));
  rows.settle();
  expect(rows.size).toBe(19);
  expect(rows.forgotten).toBe(11);
  expect(ids(rows)).toEqual([29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 4, 3, 2, 1, 0]);
});

test("settling step by step equals sorting at once", () => {
  const key = fc.constantFrom("start", "source", "sent", "packets", "duration", "process" as const);
  fc.assert(
    fc.property(key, fc.boolean(), fc.array(fc.nat(50)), (sortKey, descending, arrivals) => {
      const sort = { key: sortKey, descending } as const;
      const steps = new FlowRows(sort);
      const once = new FlowRows(sort);
      for (const id of arrivals) {
        steps.put(flow(id));
        steps.settle();
        once.put(flow(id));
      }
      once.settle();
      expect(ids(steps)).toEqual(ids(once));
    }),
  );
});

test("addresses sort as numbers", () => {
  const sorted = ["9.0.0.1", "10.9.0.1", "10.10.0.1", "::1", "2001:db8::1", "2001:db8::10", "fe80::"];
  const keys = sorted.map((ip) => endpointKey({ ip, port: 1 }));
  expect(keys.toSorted()).toEqual(keys);
});
