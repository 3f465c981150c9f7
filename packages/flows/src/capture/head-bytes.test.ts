import { expect, test } from "vitest";
import { createHeadBytes } from "./head-bytes.ts";

const event = Uint32Array.from({ length: 8 }, (_, index) => index * 0x01010101);

test("gives so many bytes of an event from a word on, at most those that fit", () => {
  const head = createHeadBytes(12);
  expect([...head(event, 2, 5)]).toEqual([2, 2, 2, 2, 3]);
  expect([...head(event, 1, 0)]).toEqual([]);
  expect([...head(event, 4, 1000)]).toEqual([4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6]);
});

test("does not change with the event", () => {
  const words = event.slice();
  const bytes = createHeadBytes(8)(words, 1, 8);
  words.fill(0);
  expect([...bytes]).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
});
