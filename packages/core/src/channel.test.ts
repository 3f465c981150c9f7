import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Channel, openChannel } from "./channel.ts";
import { X0Error } from "./errors.ts";
import type { TestContract } from "./testing/worker.ts";

let worker: Worker;
let channel: Channel<TestContract>;

beforeEach(() => {
  worker = new Worker(new URL("./testing/worker.ts", import.meta.url));
  channel = openChannel<TestContract>(worker);
});
afterEach(async () => {
  await worker.terminate();
});

test("a call returns what the worker does, now or later, in any order", async () => {
  const calls = [channel.call("doubleLater", 1), channel.call("double", 2), channel.call("doubleLater", 3)];
  expect(await Promise.all(calls)).toEqual([2, 4, 6]);
  expect(await channel.call("fill", 3)).toEqual({ bytes: Uint8Array.of(7, 7, 7), big: 2n ** 63n });
});

test("an error keeps its code, exit, message and hint", async () => {
  const error = await channel.call("failWithCode", "write 7 B").catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(X0Error);
  expect(error).toMatchObject({
    code: "X0_CORE_INVALID_QUANTITY",
    exit: 2,
    message: "seven is not a size",
    hint: "write 7 B",
  });
  await expect(channel.call("failWithCode", undefined)).rejects.toMatchObject({ hint: undefined });
  const plain = await channel.call("failPlainly", "plain").catch((thrown: unknown) => thrown);
  expect(plain).not.toBeInstanceOf(X0Error);
  expect(plain).toMatchObject({ message: "plain" });
});

test("events reach every listener of their name, in order", async () => {
  const seen: string[] = [];
  for (const name of ["first", "second"]) channel.on("tick", (tick) => seen.push(`${name} ${tick}`));
  channel.on("data", () => seen.push("data"));
  await channel.call("emit", 2);
  expect(seen).toEqual(["first 1", "second 1", "first 2", "second 2"]);
});

test("a transferred buffer leaves the worker", async () => {
  const data = new Promise<ArrayBuffer>((resolve) => channel.on("data", resolve));
  expect(await channel.call("transfer", 64)).toBe(0);
  expect((await data).byteLength).toBe(64);
});

test("what cannot be cloned fails its call and nothing else", async () => {
  await expect(channel.call("returnFunction", undefined)).rejects.toThrow(/could not be cloned/);
  const uncloneable = (() => 1) as unknown as number;
  await expect(channel.call("double", uncloneable)).rejects.toThrow(/could not be cloned/);
  await expect(channel.call("missing" as "double", 1)).rejects.toThrow();
  expect(await channel.call("double", 21)).toBe(42);
});

test("the worker's end rejects what is pending and what comes later", async () => {
  const pending = [channel.call("exit", 7), channel.call("doubleLater", 1)];
  for (const call of pending)
    await expect(call).rejects.toMatchObject({
      code: "X0_CORE_CHANNEL_CLOSED",
      message: "the worker ended with code 7",
    });
  await expect(channel.call("double", 1)).rejects.toMatchObject({ code: "X0_CORE_CHANNEL_CLOSED" });
  expect(await channel.closed).toBeUndefined();
});

test.each([new Error("out of luck"), "out of luck"])(
  "a crash is the cause of what it rejects: %s",
  async (thrown) => {
    await expect(channel.call("crash", thrown)).rejects.toMatchObject({
      code: "X0_CORE_CHANNEL_CLOSED",
      cause: expect.objectContaining({ message: "out of luck" }),
    });
    expect(await channel.closed).toMatchObject({ message: "out of luck" });
  },
);

test("a worker that is terminated closes the channel without an error", async () => {
  await once(worker, "online");
  await worker.terminate();
  expect(await channel.closed).toBeUndefined();
});
