import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type BoundedQueue, boundedQueue } from "./queue.ts";

async function collect<T>(queue: BoundedQueue<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of queue) items.push(item);
  return items;
}

async function drain<T>(queue: BoundedQueue<T>): Promise<T[]> {
  queue.close();
  return collect(queue);
}

/** Reads without closing: the queue must hold that many. */
async function take<T>(queue: BoundedQueue<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  if (count === 0) return taken;
  for await (const item of queue) {
    taken.push(item);
    if (taken.length === count) break;
  }
  return taken;
}

test("it behaves as a list that refuses what exceeds its capacity", async () => {
  const operations = fc.array(fc.oneof(fc.constant("push" as const), fc.nat(200)), { maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 150 }), operations, async (capacity, steps) => {
      const queue = boundedQueue<number>(capacity);
      const model: number[] = [];
      let dropped = 0;
      let next = 0;
      for (const step of steps) {
        if (step === "push") {
          // Several at a time, so that the array behind it is compacted now and then.
          for (let burst = 0; burst < 20; burst++, next++) {
            const room = model.length < capacity;
            expect(queue.push(next)).toBe(room);
            if (room) model.push(next);
            else dropped++;
          }
        } else {
          const count = Math.min(step, model.length);
          expect(await take(queue, count)).toEqual(model.splice(0, count));
        }
        expect([queue.size, queue.dropped]).toEqual([model.length, dropped]);
      }
      expect(await drain(queue)).toEqual(model);
    }),
    { numRuns: 60 },
  );
});

test("a waiting reader wakes for an item, and ends at the close", async () => {
  const queue = boundedQueue<string>(1);
  const reader = collect(queue);
  await new Promise((resolve) => setImmediate(resolve));
  expect(queue.push("first")).toBe(true);
  await new Promise((resolve) => setImmediate(resolve));
  expect(queue.size).toBe(0);
  expect(queue.push("second")).toBe(true);
  queue.close();
  queue.close();
  expect(await reader).toEqual(["first", "second"]);
});

test("a closed queue refuses and counts", async () => {
  const queue = boundedQueue<number>(10);
  queue.push(1);
  queue.close();
  expect(queue.push(2)).toBe(false);
  expect(queue.dropped).toBe(1);
  expect(await collect(queue)).toEqual([1]);
});

test("a capacity below 1 is refused", () => {
  for (const capacity of [0, -1, Number.NaN]) expect(() => boundedQueue(capacity)).toThrow(RangeError);
});
