import { once } from "node:events";
import { seededRandom } from "@x0tta6bl4/core";
import { expect, test, vi } from "vitest";
import { type Chunk, type Destination, type Outcome, openDelivery } from "./delivery.ts";

const chunk = (records: number): Chunk => ({ bytes: new Uint8Array(100), records });
const options = { random: seededRandom(1), firstPauseMs: 1 };

/** A destination that answers as told; what it was given is kept. */
function scripted(outcomes: Outcome[]): Destination<Chunk> & { given: number[]; closed: number } {
  return {
    given: [],
    closed: 0,
    async deliver({ records }) {
      this.given.push(records);
      return outcomes.shift() ?? { kind: "delivered" };
    },
    async close() {
      this.closed++;
    },
  };
}

const away: Outcome = { kind: "away", problem: "nobody there" };

test("chunks arrive in order; the end waits for them and closes the destination once", async () => {
  const destination = scripted([]);
  const delivery = openDelivery(destination, options);
  for (const records of [3, 1, 2]) delivery.put(chunk(records));
  await delivery.close(1000);
  await delivery.close(1000);
  expect(destination).toMatchObject({ given: [3, 1, 2], closed: 1 });
  expect(delivery.totals()).toMatchObject({
    records: 6,
    bytes: 300,
    retries: 0,
    queued: 0,
    problem: undefined,
  });
});

test("a peer that is away is tried again with the same chunk", async () => {
  const destination = scripted([away, away, { kind: "away", problem: "later", pauseMs: 0 }]);
  const delivery = openDelivery(destination, options);
  delivery.put(chunk(5));
  await vi.waitFor(() => expect(delivery.totals().records).toBe(5));
  expect(destination.given).toEqual([5, 5, 5, 5]);
  expect(delivery.totals()).toMatchObject({ retries: 3, problem: undefined });
  await delivery.close(1000);
});

test("small chunks take the room that they need", async () => {
  const delivery = openDelivery(scripted([{ kind: "away", problem: "", pauseMs: 3_600_000 }]), {
    ...options,
    queueBytes: 100_000,
  });
  for (let index = 0; index < 500; index++) delivery.put(chunk(1));
  expect(delivery.totals()).toMatchObject({ queued: 500, dropped: new Map() });
  await delivery.close(10_000);
  expect(delivery.totals().records).toBe(500);
});

test("what finds no room is counted, and nobody waits", async () => {
  let release = (): void => {};
  const stalled: Destination<Chunk> = {
    deliver: () =>
      new Promise((resolve) => {
        release = () => resolve({ kind: "delivered" });
      }),
    close: async () => {},
  };
  const delivery = openDelivery(stalled, { ...options, queueBytes: 300 });
  for (let index = 0; index < 10; index++) delivery.put(chunk(2));
  await new Promise((resolve) => setImmediate(resolve));
  const { queued, dropped } = delivery.totals();
  expect([queued, dropped.get("queue_full")]).toEqual([6, 14]);
  release();
  await vi.waitFor(() => expect(delivery.totals().records).toBe(2));
});

test("the end does not wait beyond its deadline for a peer that is away; what is left is counted", async () => {
  const delivery = openDelivery(scripted(Array.from({ length: 1000 }, () => away)), options);
  delivery.put(chunk(4));
  delivery.put(chunk(3));
  await vi.waitFor(() => expect(delivery.totals().problem).toBe("nobody there"));
  await delivery.close(20);
  expect(delivery.totals()).toMatchObject({ records: 0, queued: 0 });
  expect(delivery.totals().dropped).toEqual(new Map([["unsent", 7]]));
});

test("the end cuts a destination off that never answers", async () => {
  const silent: Destination<Chunk> = {
    async deliver(_, signal) {
      await once(signal, "abort");
      return away;
    },
    close: async () => {},
  };
  const delivery = openDelivery(silent, options);
  delivery.put(chunk(1));
  await delivery.close(20);
  expect(delivery.totals().dropped.get("unsent")).toBe(1);
});

test("a long pause ends when the export does", async () => {
  const destination = scripted([{ kind: "away", problem: "busy", pauseMs: 3_600_000 }]);
  const delivery = openDelivery(destination, options);
  delivery.put(chunk(1));
  await vi.waitFor(() => expect(delivery.totals().retries).toBe(1));
  await delivery.close(60_000);
  expect(delivery.totals().records).toBe(1);
});

test("what a peer refuses is counted by reason and not sent again", async () => {
  const destination = scripted([
    { kind: "lost", reason: "rejected", problem: "400" },
    { kind: "delivered", rejected: 2, problem: "two were wrong" },
    { kind: "lost", reason: "unreachable", problem: "refused" },
  ]);
  const delivery = openDelivery(destination, options);
  for (const records of [1, 5, 4]) delivery.put(chunk(records));
  await delivery.close(1000);
  expect(destination.given).toEqual([1, 5, 4]);
  expect(delivery.totals()).toMatchObject({ records: 3, problem: "refused" });
  expect(delivery.totals().dropped).toEqual(
    new Map([
      ["rejected", 3],
      ["unreachable", 4],
    ]),
  );
});
