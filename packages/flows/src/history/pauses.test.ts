import { expect, test } from "vitest";
import { pauses } from "./pauses.ts";

test("others have the thread once a slice is used up, and not before", async () => {
  let nowMs = 0;
  let turns = 0;
  const pause = pauses(() => nowMs);
  setImmediate(() => turns++);
  nowMs = 10;
  await pause();
  expect(turns).toBe(0);
  nowMs = 11;
  await pause();
  expect(turns).toBe(1);
  // The next slice begins when the thread is had again.
  setImmediate(() => turns++);
  nowMs = 21;
  await pause();
  expect(turns).toBe(1);
});
