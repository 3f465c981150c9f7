import { seededRandom } from "@x0tta6bl4/core";
import { openDelivery } from "@x0tta6bl4/telemetry";
import { expect, test, vi } from "vitest";
import type { Flow } from "../flow.ts";
import { testFlow } from "../testing/flows.ts";
import { compileSelection } from "./selection.ts";
import { exportSink } from "./sink.ts";
import { batch, figures } from "./testing/batches.ts";

/** A sink whose records are the ids of flows, one a chunk. */
function collecting(given: { untilMs?: number; allow?: { port: number }[] } = {}) {
  const arrived: string[] = [];
  const delivery = openDelivery(
    {
      deliver: async ({ bytes }) => {
        arrived.push(Buffer.from(bytes).toString());
        return { kind: "delivered" };
      },
      close: async () => {},
    },
    { random: seededRandom(1) },
  );
  const put = (text: string): void => delivery.put({ bytes: Buffer.from(text), records: 1 });
  const sink = exportSink({
    name: "test",
    selection: compileSelection(given.allow ?? [], []),
    events: [],
    untilMs: given.untilMs,
    encoder: {
      flow: (reader, index) => put(reader.flow(index).id),
      event: () => {},
      flush: () => put("flushed"),
      finish: () => put("finished"),
    },
    delivery,
  });
  return { sink, arrived };
}

const numbered = (...ids: number[]): Flow[] => ids.map((id) => testFlow({ id: String(id) }));

test("an export ends by itself at its time and says so; what comes later is not taken", async () => {
  const untilMs = Date.UTC(2026, 10, 22);
  const { sink, arrived } = collecting({ untilMs });
  sink.take(batch(numbered(1), { fromMs: untilMs - 2000, toMs: untilMs - 1000 }), []);
  expect(sink.features()).toMatchObject([{ name: "export test", state: "on" }]);
  sink.take(batch(numbered(2), { fromMs: untilMs - 1000, toMs: untilMs }), []);
  expect(sink.features()).toMatchObject([
    { state: "off", reason: expect.stringContaining("2026-11-22T00:00:00") },
  ]);
  sink.take(batch(numbered(3), { fromMs: untilMs, toMs: untilMs + 1000 }), []);
  await vi.waitFor(() => expect(arrived).toEqual(["1", "flushed", "2", "flushed", "finished"]));
  await sink.close(1000);
  expect(figures(sink)["records"]).toBe(5);
});

test("only what is chosen is encoded", async () => {
  const { sink, arrived } = collecting({ allow: [{ port: 53 }] });
  const dns = testFlow({ id: "2", destination: { ip: "10.0.0.53", port: 53, name: null } });
  sink.take(batch([...numbered(1), dns]), []);
  await sink.close(1000);
  expect(arrived).toEqual(["2", "flushed", "finished"]);
});

test("a second close waits for the same end", async () => {
  const { sink, arrived } = collecting();
  sink.take(batch(numbered(1)), []);
  await Promise.all([sink.close(1000), sink.close(1000)]);
  expect(arrived).toEqual(["1", "flushed", "finished"]);
});
