import { expect, test } from "vitest";
import { mixedFlows, testFlow } from "../testing/flows.ts";
import { batchOf } from "./from-flows.ts";
import { RECORD_WORDS, readBatch, recordWord } from "./record.ts";

test("flows of every kind come out of a batch as they went in", () => {
  const flows = mixedFlows(7, 500);
  const records = readBatch(batchOf(flows));
  expect(flows.map((_, index) => records.flow(index))).toEqual(flows);
  expect(new Set(flows.map((_, index) => records.change(index)))).toEqual(new Set(["start", "end"]));
});

test("a record says what a flow does not: its change, flags of each side, counters before", () => {
  const batch = batchOf(
    [
      {
        flow: testFlow({ state: "active" }),
        change: "update",
        sourceFlags: ["SYN"],
        destinationFlags: ["SYN", "ACK"],
        earlier: { packets: { sent: 3, received: 2 }, bytes: { sent: 300, received: 200 } },
      },
    ],
    { fromMs: 1000, toMs: 2000, lostPackets: 4 },
  );
  const records = readBatch(batch);
  expect(records.change(0)).toBe("update");
  expect((records.words[recordWord.protocol] as number) >>> 8).toBe(0x1202);
  expect([...records.doubles.subarray(recordWord.earlierF64 / 2, recordWord.earlierF64 / 2 + 4)]).toEqual([
    3, 2, 300, 200,
  ]);
  expect(batch.coverage).toMatchObject({ fromMs: 1000, toMs: 2000, lostPackets: 4, lostEvents: 0 });
  expect(batch.words.length).toBe(RECORD_WORDS);
});
