import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { createLog } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { startAgent } from "./agent.ts";
import { type Answer, ask, startTestAgent, temporaryFolder, testConfig } from "./testing/agent.ts";
import { spawnX0 } from "./testing/command.ts";
import { examplePart } from "./testing/example.ts";

test("parts start in order, then are completed, and stop in reverse, once", async () => {
  const events: string[] = [];
  const parts = ["a", "b", "c"].map((name) => examplePart({ name, events }).definition);
  const { agent } = await startTestAgent({ parts });
  expect(await agent.banner()).toEqual(["a says hello", "b says hello", "c says hello"]);
  await agent.stop();
  await agent.stop();
  const all = (what: string) => ["a", "b", "c"].map((name) => `${what} ${name}`);
  expect(events).toEqual([...all("start"), ...all("complete"), ...all("stop").reverse()]);
});

test("a part that cannot start ends the start, and what ran before it is stopped", async () => {
  const events: string[] = [];
  const folder = temporaryFolder();
  const good = examplePart({ name: "good", events }).definition;
  const bad = examplePart({
    name: "bad",
    events,
    start: () => Promise.reject(new Error("no kernel")),
  }).definition;
  const never = examplePart({ name: "never", events }).definition;
  await expect(startTestAgent({ dataDirectory: folder, parts: [good, bad, never] })).rejects.toThrow(
    "no kernel",
  );
  expect(events).toEqual(["start good", "start bad", "stop bad", "stop good"]);
  const { agent } = await startTestAgent({ dataDirectory: folder });
  expect(agent.unclean).toBeUndefined();
});

test("a part that cannot be completed ends the start too", async () => {
  const events: string[] = [];
  const good = examplePart({ name: "good", events }).definition;
  const bad = examplePart({
    name: "bad",
    events,
    complete: () => Promise.reject(new Error("no disk")),
  }).definition;
  await expect(startTestAgent({ parts: [bad, good] })).rejects.toThrow("no disk");
  expect(events).toEqual(["start bad", "start good", "complete bad", "stop good", "stop bad"]);
});

test("a signal ends the start between two parts", async () => {
  const events: string[] = [];
  const controller = new AbortController();
  const first = examplePart({ name: "first", events, start: async () => controller.abort() }).definition;
  const second = examplePart({ name: "second", events }).definition;
  const folder = temporaryFolder();
  const parts = [first, second];
  const log = createLog({ level: "error", format: "text", write: () => undefined });
  const options = { parts, dataDirectory: folder, config: testConfig(folder, parts), version: "1.2.3", log };
  const start = startAgent(
    { ...options, consoleFiles: new URL(`file://${folder}/site/`) },
    controller.signal,
  );
  await expect(start).rejects.toMatchObject({ name: "AbortError" });
  expect(events).toEqual(["start first", "stop first"]);
});

test("a part that hangs or fails while stopping does not keep the others", async () => {
  const events: string[] = [];
  const parts = [
    examplePart({ name: "good", events }).definition,
    examplePart({ name: "hangs", events, stop: () => new Promise(() => undefined) }).definition,
    examplePart({ name: "fails", events, stop: () => Promise.reject(new Error("stuck link")) }).definition,
  ];
  const { agent, log } = await startTestAgent({ parts, stopDeadlineMs: 20 });
  await agent.stop();
  expect(events.slice(6)).toEqual(["stop fails", "stop hangs", "stop good"]);
  expect(log.join("")).toContain("stuck link");
  expect(log.join("")).toContain("hangs did not stop within 20 ms");
});

test("while it starts, the agent says so and the parts' routes wait", async () => {
  const folder = temporaryFolder();
  const answers: Answer[] = [];
  const asking = examplePart({
    complete: async () => {
      for (const path of ["/healthz", "/readyz", "/api/v1/health", "/api/v1/example"])
        answers.push(await ask(join(folder, "x0.sock"), path));
    },
  });
  await startTestAgent({ dataDirectory: folder, parts: [asking.definition] });
  expect(answers.map(({ status }) => status)).toEqual([200, 503, 200, 503]);
  expect(answers[1]?.body).toBe("starting\n");
  expect(JSON.parse(answers[2]?.body ?? "")).toMatchObject({ state: "starting" });
  expect(JSON.parse(answers[3]?.body ?? "")).toMatchObject({ error: { code: "X0_NODE_NOT_READY" } });
});

test("a second instance on the same folder is refused and leaves the first alone", async () => {
  const folder = temporaryFolder();
  const { agent } = await startTestAgent({ dataDirectory: folder });
  await expect(startTestAgent({ dataDirectory: folder })).rejects.toMatchObject({
    code: "X0_NODE_ALREADY_RUNNING",
    exit: 1,
    message: expect.stringContaining(folder),
    hint: expect.any(String),
  });
  expect((await ask(agent.folder.socket, "/healthz")).status).toBe(200);
});

test("a port in use is an error that names it, and the folder is free again", async () => {
  const folder = temporaryFolder();
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const listen = `127.0.0.1:${port}`;
  await expect(startTestAgent({ dataDirectory: folder, listen })).rejects.toMatchObject({
    code: "X0_NODE_PORT_IN_USE",
    exit: 1,
    message: expect.stringContaining(String(port)),
    hint: expect.stringContaining("node.listen"),
  });
  other.close();
  await once(other, "close");
  const { agent } = await startTestAgent({ dataDirectory: folder, listen });
  expect(agent.url).toBe(`http://${listen}`);
});

test("a folder whose path does not fit into a socket's is an error with a hint", async () => {
  const folder = join(temporaryFolder(), "x".repeat(120));
  await expect(startTestAgent({ dataDirectory: folder })).rejects.toMatchObject({
    code: "X0_NODE_SOCKET",
    hint: expect.stringContaining("107"),
  });
});

test("after SIGKILL the next start says so, takes over the socket and keeps the token", async () => {
  const folder = temporaryFolder();
  const killed = spawnX0(["up", "--data-dir", folder, "--set", "node.listen=127.0.0.1:0"]);
  await killed.printed(/ready in/);
  killed.child.kill("SIGKILL");
  const { stdout } = await killed.ended();
  const { agent } = await startTestAgent({ dataDirectory: folder });
  expect(agent.unclean).toMatchObject({ beforeReboot: false, startMs: expect.any(Number) });
  expect(stdout).toContain(agent.token);
  expect((await ask(agent.folder.socket, "/healthz")).status).toBe(200);
  await agent.stop();
  const { agent: next } = await startTestAgent({ dataDirectory: folder });
  expect(next.unclean).toBeUndefined();
});
