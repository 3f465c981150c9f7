import { expect, test } from "vitest";
import { agentClient } from "../cli/client.ts";
import { ask, openRequest, startTestAgent } from "../testing/agent.ts";
import { examplePart } from "../testing/example.ts";

const path = "/api/v1/example/bytes";

async function started() {
  const example = examplePart();
  const { agent, port } = await startTestAgent({ parts: [example.definition] });
  const happened = async (event: string): Promise<void> => {
    while (!example.events.includes(event)) await new Promise((resolve) => setImmediate(resolve));
  };
  return { example, agent, port, client: agentClient([agent.folder.socket]), happened };
}

test("every byte arrives, in order", async () => {
  const { client } = await started();
  let length = 0;
  for await (const chunk of client.bytes(path, { chunks: "100" }, new AbortController().signal))
    for (const byte of chunk) if (byte !== Math.floor(length++ / 65_536)) throw new Error(`at ${length}`);
  expect(length).toBe(100 * 65_536);
});

test("the source waits for a client that does not read", async () => {
  const { agent, example, happened } = await started();
  const response = await openRequest(agent.folder.socket, `${path}?chunks=100000`);
  response.pause();
  expect(response.headers["content-type"]).toBe("application/octet-stream");
  await happened("chunk 1");
  const count = (): number => example.events.filter((event) => event.startsWith("chunk")).length;
  for (let before = -1; before !== count(); ) {
    before = count();
    // A turn of the loop for each of the sockets' ends.
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(count()).toBeLessThan(1000);
  response.destroy();
  await happened("left example");
});

test("what fails before the first byte is an answer of its own; later the connection breaks off", async () => {
  const { agent, client } = await started();
  const refused = await ask(agent.folder.socket, `${path}?chunks=1&broken=at%20once`);
  expect(refused.status).toBe(400);
  expect(JSON.parse(refused.body).error.code).toBe("X0_CORE_INVALID_QUANTITY");
  const { signal } = new AbortController();
  const broken = client.bytes(path, { chunks: "3", broken: "later" }, signal);
  const all = async (): Promise<void> => {
    for await (const _ of broken);
  };
  await expect(all()).rejects.toMatchObject({ code: "X0_NODE_SOCKET" });
});

test("it needs the token as every route does, and is in the OpenAPI document", async () => {
  const { port, agent } = await started();
  expect((await ask(port, `${path}?chunks=1`)).status).toBe(401);
  const { body } = await ask(agent.folder.socket, "/api/v1/openapi.json");
  expect(JSON.parse(body).paths[path].get.responses[200].content).toEqual({
    "application/octet-stream": { schema: { type: "string", format: "binary" } },
  });
});
