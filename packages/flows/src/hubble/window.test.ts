import { expect, test } from "vitest";
import { partiesOf } from "../parties.ts";
import { readBatch } from "../recording/record.ts";
import { mixedFlows, testFlow } from "../testing/flows.ts";
import { batchOf } from "../testing/records.ts";
import { type Emitter, flowOfSighting, sighting } from "./from-record.ts";
import { entriesOf } from "./order.ts";
import { createWindow, type FlowWindow } from "./window.ts";

const emitter: Emitter = { nodeName: "edge-1", version: "0.1.0", isLocal: () => false };
const firstMs = Date.UTC(2026, 10, 22);

const openings = (seed: number, count: number, fromMs = firstMs) =>
  mixedFlows(seed, count, fromMs).map((flow) => ({ flow, change: "start" as const }));

/** Openings that are alike but for their times, one a millisecond. */
const plain = (count: number, fromMs: number) =>
  Array.from({ length: count }, (_, at) => ({
    flow: testFlow({ start: new Date(fromMs + at).toISOString() }),
    change: "start" as const,
  }));

function all(window: FlowWindow) {
  return Array.from({ length: window.next - window.oldest }, (_, at) => window.entry(window.oldest + at));
}

test("flows are what their batch would make of them, after the batch is gone", () => {
  const window = createWindow(emitter);
  const expected = [];
  for (let turn = 0; turn < 5; turn++) {
    const batch = batchOf(openings(turn, 700, firstMs + turn * 1000));
    const reader = readBatch(batch);
    for (let index = 0; index < 700; index++)
      expected.push(flowOfSighting(reader, index, sighting.opening, emitter));
    window.append(reader, []);
    batch.words.fill(0);
  }
  expect(all(window).map(({ flow }) => flow)).toEqual(expected);
  expect(window.seen).toBe(3500);
});

test("a batch is put in the order of time, events among records", () => {
  const window = createWindow(emitter);
  const at = (offsetMs: number) => new Date(firstMs + offsetMs).toISOString();
  const flow = testFlow({ start: at(50), end: at(90) });
  const drop = {
    kind: "drop",
    ...partiesOf(flow, at(70)),
    reason: "NO_SOCKET",
    fromSource: true,
    tcpFlags: ["SYN"],
    bytes: 60,
    interface: "eth0",
  } as const;
  const records = readBatch(
    batchOf(
      [
        { flow, change: "end" },
        { flow, change: "start" },
      ],
      { lostEvents: 3, toMs: firstMs },
    ),
  );
  window.append(records, [{ ...drop, tcpFlags: ["SYN"] }]);
  const expected = [
    [50, "TCP Flags: SYN"],
    [70, "TCP Flags: SYN; NO_SOCKET"],
    [90, "TCP Flags: SYN, ACK"],
    [90, "TCP Flags: ACK, FIN"],
    [90, "TCP Flags: ACK, FIN"],
  ];
  const entries = all(window);
  expect(entries.slice(0, 5).map(({ timeMs, flow }) => [timeMs - firstMs, flow?.["Summary"]])).toEqual(
    expected,
  );
  expect(entries[5]).toMatchObject({ flow: undefined, lost: { source: "PERF_EVENT_RING_BUFFER", count: 3 } });
  expect([...entriesOf(records, [{ ...drop, tcpFlags: ["SYN"] }], emitter)]).toEqual(entries.slice(0, 5));
  expect(window.seen).toBe(5);
});

test("the latest are kept, and the numbers of the others are not given again", () => {
  const window = createWindow(emitter);
  let reader = 0;
  let lost = 0;
  for (let turn = 0; turn < 40; turn++) {
    window.append(readBatch(batchOf(plain(3000, firstMs + turn * 3000))), []);
    if (turn % 7 !== 0) continue;
    lost += Math.max(0, window.oldest - reader);
    reader = window.next;
  }
  expect(window.next).toBe(120_000);
  expect(window.seen).toBe(120_000);
  const kept = window.next - window.oldest;
  expect(kept).toBeGreaterThanOrEqual(window.capacity);
  expect(kept).toBeLessThanOrEqual(window.capacity + 3000 + 1024);
  expect(window.timeMs(window.next - 1)).toBe(firstMs + 119_999);
  expect(window.timeMs(window.oldest)).toBe(firstMs + 120_000 - kept);
  // Six pauses of seven batches each: 21,000 flows, of which the window still had the latest.
  expect(lost).toBeGreaterThan(0);
  expect(lost).toBeLessThanOrEqual(6 * (21_000 - window.capacity));
});

test("of one batch that is more than the window, the rest is skipped, not forgotten", () => {
  const window = createWindow(emitter);
  window.append(readBatch(batchOf(plain(10, firstMs))), []);
  expect(window.next).toBe(10);
  window.append(readBatch(batchOf(plain(50_000, firstMs + 1000))), []);
  expect(window.next).toBe(50_010);
  expect(window.seen).toBe(50_010);
  expect(window.next - window.oldest).toBe(window.capacity);
  expect(window.timeMs(window.next - 1)).toBe(firstMs + 50_999);
});

test("many small batches share names and processes, and nothing is mixed up", () => {
  const window = createWindow(emitter);
  const flows = mixedFlows(5, 600, firstMs);
  for (const flow of flows) window.append(readBatch(batchOf([{ flow, change: "start" }])), []);
  const whole = readBatch(batchOf(flows.map((flow) => ({ flow, change: "start" as const }))));
  const expected = flows.map((_, index) => flowOfSighting(whole, index, sighting.opening, emitter));
  expect(all(window).map(({ flow }) => flow)).toEqual(expected);
});
