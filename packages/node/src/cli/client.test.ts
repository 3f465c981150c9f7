import { once } from "node:events";
import { createServer } from "node:http";
import { join } from "node:path";
import type { StreamEvent } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { startTestAgent, temporaryFolder } from "../testing/agent.ts";
import { examplePart } from "../testing/example.ts";
import { agentClient } from "./client.ts";
import { readEvents } from "./events.ts";

const stream = "/api/v1/example/stream";

async function started() {
  const example = examplePart();
  const { agent } = await startTestAgent({ parts: [example.definition] });
  return { agent, example, client: agentClient([agent.folder.socket]) };
}

test("the first socket that answers is the agent", async () => {
  const { agent } = await started();
  const client = agentClient([join(temporaryFolder(), "x0.sock"), agent.folder.socket]);
  expect(await client.get("/api/v1/example", { count: "3" })).toEqual({ count: 3, since: null });
});

test("what the agent refuses is thrown with its code, hint and exit", async () => {
  const { client } = await started();
  await expect(client.get("/api/v1/example", { cuont: "3" })).rejects.toMatchObject({
    code: "X0_NODE_BAD_REQUEST",
    exit: 2,
    hint: "did you mean count?",
  });
  await expect(client.get("/api/v1/example", { count: "13" })).rejects.toMatchObject({
    code: "X0_NODE_INTERNAL",
    exit: 1,
  });
});

test("a body is sent as JSON and checked by its route", async () => {
  const { client } = await started();
  expect(await client.post("/api/v1/example", { word: "für" })).toEqual({ length: 3, from: null });
  await expect(client.post("/api/v1/example", { word: 3 })).rejects.toMatchObject({
    code: "X0_NODE_BAD_REQUEST",
    exit: 2,
  });
  await expect(client.post("/api/v1/example", { word: "x".repeat(2000) })).rejects.toMatchObject({
    code: "X0_NODE_BAD_REQUEST",
    exit: 2,
  });
});

test("a stream gives events until it is aborted, and then ends in silence", async () => {
  const { client, example } = await started();
  const controller = new AbortController();
  const seen: StreamEvent[] = [];
  example.feed.push({ event: "tick", data: { n: 1 } });
  for await (const event of client.stream(stream, {}, controller.signal)) {
    seen.push(event);
    controller.abort();
  }
  expect(seen).toEqual([{ event: "tick", data: { n: 1 } }]);
});

test("a stream that breaks throws why", async () => {
  const { client, example } = await started();
  const { signal } = new AbortController();
  example.feed.push({ event: "tick", data: { n: 1 } });
  const broken = client.stream(stream, { broken: "later" }, signal)[Symbol.asyncIterator]();
  await broken.next();
  await expect(broken.next()).rejects.toMatchObject({ code: "X0_CORE_INVALID_QUANTITY", hint: "mend it" });
});

test("a stream ends with the agent", async () => {
  const { agent, client, example } = await started();
  const { signal } = new AbortController();
  example.feed.push({ event: "tick", data: { n: 1 } });
  const whole = client.stream(stream, {}, signal)[Symbol.asyncIterator]();
  await whole.next();
  const end = whole.next();
  await agent.stop();
  expect(await end).toEqual({ done: true, value: undefined });
});

test("a socket on which something else answers is said", async () => {
  const path = join(temporaryFolder(), "x0.sock");
  const other = createServer((_request, response) => response.writeHead(418).end("teapot")).listen(path);
  await once(other, "listening");
  await expect(agentClient([path]).get("/api/v1/health")).rejects.toMatchObject({
    code: "X0_NODE_SOCKET",
    message: expect.stringContaining("418"),
  });
  other.close();
});

test("events are read whatever the chunks, comments skipped, within the limit", async () => {
  const bytes = Buffer.from(': hi\n\nevent: a\ndata: {"text":"für"}\n\nevent: b\ndata: [1,\ndata: 2]\n\n');
  const chunks = async function* (size: number) {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  };
  for (const size of [1, 2, 3, 7, bytes.length]) {
    const events: StreamEvent[] = [];
    for await (const event of readEvents(chunks(size))) events.push(event);
    expect(events).toEqual([
      { event: "a", data: { text: "für" } },
      { event: "b", data: [1, 2] },
    ]);
  }
  const endless = async function* () {
    for (;;) yield Buffer.alloc(1024 * 1024, "x");
  };
  await expect(readEvents(endless()).next()).rejects.toMatchObject({ code: "X0_NODE_SOCKET" });
});
