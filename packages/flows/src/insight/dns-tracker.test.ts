import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import type { DnsMessage } from "./dns.ts";
import { createDnsTracker, type DnsTransaction } from "./dns-tracker.ts";

const query = (id: number, name: string, type = 1): DnsMessage => ({
  id,
  isResponse: false,
  rcode: 0,
  name,
  type,
  answers: [],
  ttlSeconds: null,
  isComplete: true,
});
const answer = (id: number, name: string, type = 1, rcode = 0): DnsMessage => ({
  ...query(id, name, type),
  isResponse: true,
  rcode,
});

function tracked(limits?: { pending: number; timeoutNs: number }) {
  const told: DnsTransaction[] = [];
  const onTransaction = (transaction: DnsTransaction): void => void told.push(transaction);
  return { told, tracker: createDnsTracker({ onTransaction, ...(limits === undefined ? {} : { limits }) }) };
}

describe("queries and answers", () => {
  test("an answer to a query", () => {
    const { told, tracker } = tracked();
    tracker.message(5, query(1, "a.test"), 1e9);
    tracker.message(5, answer(1, "a.test", 1, 3), 1.25e9);
    const expected = { flowId: 5, name: "a.test", type: 1, rcode: 3, queryNs: 1e9, latencyNs: 0.25e9 };
    expect(told).toEqual([{ ...expected, answers: [], ttlSeconds: null }]);
    expect(tracker.pending).toBe(0);
  });

  test("only of the same flow, id and question, and only once", () => {
    const { told, tracker } = tracked();
    tracker.message(5, query(1, "a.test"), 0);
    tracker.message(6, answer(1, "a.test"), 1);
    tracker.message(5 + 2 ** 32, answer(1, "a.test"), 1);
    tracker.message(5, answer(2, "a.test"), 1);
    tracker.message(5, answer(1, "b.test"), 1);
    tracker.message(5, answer(1, "a.test", 28), 1);
    expect(told).toEqual([]);
    tracker.message(5, answer(1, "a.test"), 2);
    tracker.message(5, answer(1, "a.test"), 3);
    expect(told).toHaveLength(1);
  });

  test("a query that is sent again is one, timed from the first", () => {
    const { told, tracker } = tracked();
    for (const time of [0, 1e9, 3e9]) tracker.message(5, query(1, "a.test"), time);
    expect(tracker.pending).toBe(1);
    tracker.message(5, answer(1, "a.test"), 3.5e9);
    expect(told).toMatchObject([{ latencyNs: 3.5e9 }]);
  });

  test("two questions with one id on one flow", () => {
    const { told, tracker } = tracked();
    tracker.message(5, query(1, "a.test", 1), 0);
    tracker.message(5, query(1, "a.test", 28), 0);
    tracker.message(5, answer(1, "a.test", 28), 1);
    tracker.message(5, answer(1, "a.test", 1), 2);
    expect(told.map(({ type }) => type)).toEqual([28, 1]);
  });

  test("without an answer: told once, when the time is over", () => {
    const { told, tracker } = tracked();
    tracker.message(5, query(1, "a.test"), 0);
    tracker.message(5, query(2, "b.test"), 2e9);
    tracker.expire(4.9e9);
    expect(told).toEqual([]);
    tracker.expire(5e9);
    tracker.expire(6e9);
    expect(told).toMatchObject([{ name: "a.test", rcode: null, latencyNs: null, answers: [] }]);
    tracker.message(5, answer(1, "a.test"), 6e9);
    expect(told).toHaveLength(1);
  });
});

test("bounded: the oldest queries are forgotten, and counted", () => {
  const { told, tracker } = tracked({ pending: 100, timeoutNs: 5e9 });
  for (let id = 0; id < 1000; id++) tracker.message(id, query(id, "a.test"), id);
  expect([tracker.pending, tracker.forgotten]).toEqual([100, 900]);
  for (let id = 0; id < 1000; id++) tracker.message(id, answer(id, "a.test"), 2000);
  expect(told).toHaveLength(100);
  expect(told[0]?.flowId).toBe(900);
});

test("as a plain list would match them", () => {
  const random = seededRandom(9);
  const { told, tracker } = tracked();
  const list: { flow: number; message: DnsMessage; time: number }[] = [];
  const expected: string[] = [];
  for (let time = 0; time < 20_000; time++) {
    const flow = random.below(8) * 2 ** random.below(40);
    const make = random.below(2) === 0 ? query : answer;
    const message = make(random.below(4), `n${random.below(3)}.test`, 1 + random.below(2));
    tracker.message(flow, message, time);
    const { id, name, type } = message;
    const found = list.findIndex(
      (entry) =>
        entry.flow === flow &&
        entry.message.id === id &&
        entry.message.name === name &&
        entry.message.type === type,
    );
    if (!message.isResponse && found < 0) list.push({ flow, message, time });
    if (message.isResponse && found >= 0) {
      expected.push(`${flow} ${name} ${type} ${time - (list[found]?.time ?? 0)}`);
      list.splice(found, 1);
    }
  }
  const got = told.map(({ flowId, name, type, latencyNs }) => `${flowId} ${name} ${type} ${latencyNs}`);
  expect(got).toEqual(expected);
  expect(got.length).toBeGreaterThan(1000);
  expect(tracker.forgotten).toBe(0);
});

test("questions whose keys collide are not taken for each other", () => {
  const { told, tracker } = tracked({ pending: 300_000, timeoutNs: 5e9 });
  const random = seededRandom(2);
  const names = Array.from(
    { length: 200_000 },
    (_, index) => `${random.next().toString(36).slice(2)}.n${index}`,
  );
  for (const [time, name] of names.entries()) tracker.message(5, query(1, name), time);
  // A birthday among 200,000 in 2^32.
  expect(tracker.forgotten).toBeGreaterThan(0);
  for (const [time, name] of names.entries()) tracker.message(5, answer(1, name), time + 1e6);
  expect(told).toHaveLength(200_000 - tracker.forgotten);
  expect(new Set(told.map(({ latencyNs }) => latencyNs))).toEqual(new Set([1e6]));
});
