import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import { readEvents } from "../cli/events.ts";
import { ask, openRequest, startTestAgent } from "../testing/agent.ts";
import { examplePart } from "../testing/example.ts";

async function started() {
  const example = examplePart();
  const { agent, port } = await startTestAgent({ parts: [example.definition] });
  const open = (query = ""): Promise<IncomingMessage> =>
    openRequest(agent.folder.socket, `/api/v1/example/stream${query}`);
  const happened = async (event: string): Promise<void> => {
    while (!example.events.includes(event)) await new Promise((resolve) => setImmediate(resolve));
  };
  return { example, agent, port, open, happened };
}

test("events reach the client as they happen", async () => {
  const { example, open } = await started();
  const response = await open();
  expect(response.headers).toMatchObject({
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  const events = readEvents(response);
  for (const n of [1, 2]) {
    example.feed.push({ event: "tick", data: { n, text: "line\nbreak" } });
    expect((await events.next()).value).toEqual({ event: "tick", data: { n, text: "line\nbreak" } });
  }
  response.destroy();
});

test("the source is told when its client leaves", async () => {
  const { open, happened } = await started();
  const response = await open();
  await happened("open example");
  response.destroy();
  await happened("left example");
});

test("a stream ends when the agent stops", async () => {
  const { agent, example, open, happened } = await started();
  const response = await open();
  response.resume();
  await happened("open example");
  const ended = once(response, "end");
  await agent.stop();
  await ended;
  expect(example.events.indexOf("left example")).toBeLessThan(example.events.indexOf("stop example"));
});

test("a client that does not read loses events and is told how many, while others get all", async () => {
  const { agent, example, open } = await started();
  const slow = await open();
  slow.pause();
  const total = 20_000;
  const padding = "x".repeat(1000);
  for (let n = 0; n < total; n++) example.feed.push({ event: "tick", data: { n, padding } });
  example.feed.close();
  // The part's queue is empty once the server has taken or dropped everything.
  while (example.feed.size > 0) await new Promise((resolve) => setImmediate(resolve));
  let received = 0;
  let lost = 0;
  for await (const { event, data } of readEvents(slow)) {
    if (event === "tick") received++;
    if (event === "dropped") lost += (data as { count: number }).count;
  }
  expect(lost).toBeGreaterThan(0);
  expect(received + lost).toBe(total);
  const { body } = await ask(agent.folder.socket, "/metrics");
  expect(body).toContain(
    `x0tta6bl4_http_stream_dropped_events_total{route="/api/v1/example/stream"} ${lost}`,
  );
});

test("a client that reads gets a long burst whole", async () => {
  const { example, open } = await started();
  const total = 20_000;
  for (let n = 0; n < total; n++) example.feed.push({ event: "tick", data: { n } });
  example.feed.close();
  const numbers: number[] = [];
  for await (const { data } of readEvents(await open())) numbers.push((data as { n: number }).n);
  expect(numbers).toEqual(Array.from({ length: total }, (_, n) => n));
});

test("a stream that cannot begin is answered with an error, one that breaks later ends with one", async () => {
  const { example, agent, open } = await started();
  const refused = await ask(agent.folder.socket, "/api/v1/example/stream?broken=at%20once");
  expect(refused.status).toBe(400);
  expect(JSON.parse(refused.body)).toMatchObject({ error: { message: "broken at once" } });
  expect((await ask(agent.folder.socket, "/api/v1/example/stream?brokn=1")).status).toBe(400);

  example.feed.push({ event: "tick", data: { n: 1 } });
  const events: unknown[] = [];
  for await (const event of readEvents(await open("?broken=later"))) events.push(event);
  expect(events).toEqual([
    { event: "tick", data: { n: 1 } },
    { event: "error", data: { code: "X0_CORE_INVALID_QUANTITY", message: "broken later", hint: "mend it" } },
  ]);
});
