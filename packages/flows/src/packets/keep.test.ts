import { expect, test } from "vitest";
import { keepNewest } from "./keep.ts";

/** A block of so many bytes that begins with its number. */
function block(number: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUInt32LE(number);
  return bytes;
}

test("the newest stay, in order, within the budget", () => {
  const kept = keepNewest(10_000_000);
  const size = 1000;
  for (let number = 0; number < 25_000; number++) kept.push(block(number, size));
  const bytes = Buffer.concat(kept.blocks());
  expect(bytes.length).toBe(kept.bytes);
  expect(bytes.length).toBeLessThanOrEqual(10_000_000);
  expect(bytes.length).toBeGreaterThan(8_900_000);
  const numbers = Array.from({ length: bytes.length / size }, (_, index) => bytes.readUInt32LE(index * size));
  expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => kept.forgotten + index));
  expect(kept.forgotten + numbers.length).toBe(25_000);
});

test("a budget below one piece still keeps the newest piece, and one block of any size", () => {
  const kept = keepNewest(10);
  kept.push(block(1, 3_000_000));
  kept.push(block(2, 20));
  expect(Buffer.concat(kept.blocks()).readUInt32LE()).toBe(2);
  expect(kept.forgotten).toBe(1);
});
