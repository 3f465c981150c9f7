import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { agentHealthSchema } from "../health.ts";
import { ask, startTestAgent, temporaryFolder } from "../testing/agent.ts";
import { examplePart } from "../testing/example.ts";

async function started() {
  const example = examplePart();
  const { agent, port, log } = await startTestAgent({ parts: [example.definition] });
  const get = (path: string) => ask(agent.folder.socket, path);
  return { example, agent, port, log, get };
}

test("a route gets its parsed query and answers JSON", async () => {
  const { get } = await started();
  const { status, headers, body } = await get("/api/v1/example?count=5&since=2026-01-01");
  expect([status, headers["content-type"]]).toEqual([200, "application/json; charset=utf-8"]);
  expect(JSON.parse(body)).toEqual({ count: 5, since: Date.parse("2026-01-01") });
  expect(JSON.parse((await get("/api/v1/example")).body)).toEqual({ count: 1, since: null });
});

test("a route is told over which connection it was asked", async () => {
  const { agent, port } = await started();
  const response = await fetch(`${agent.url}/api/v1/example`, {
    method: "POST",
    headers: { authorization: `Bearer ${agent.token}`, "content-type": "application/json" },
    body: JSON.stringify({ word: "four" }),
  });
  expect(await response.json()).toEqual({ length: 4, from: `127.0.0.1 to ${port}` });
});

test.each([
  ["/api/v1/example?cuont=1", 400, { code: "X0_NODE_BAD_REQUEST", hint: "did you mean count?" }],
  [
    "/api/v1/example?count=many",
    400,
    { code: "X0_NODE_BAD_REQUEST", message: expect.stringContaining("count") },
  ],
  ["/api/v1/example?count=1&count=2", 400, { code: "X0_NODE_BAD_REQUEST" }],
  ["/api/v1/example?since=yesterdayish", 400, { code: "X0_CORE_INVALID_QUANTITY", hint: expect.any(String) }],
  ["/api/v1/health?x=1", 400, { code: "X0_NODE_BAD_REQUEST" }],
  ["/api/v1/nothing", 404, { code: "X0_NODE_NOT_FOUND" }],
  ["/../../../etc/passwd", 404, { code: "X0_NODE_NOT_FOUND" }],
])("%s is refused with status %i", async (path, status, error) => {
  const { get } = await started();
  const answer = await get(path);
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.body)).toMatchObject({ error });
});

test("an unexpected failure tells the log and not the client", async () => {
  const { get, log } = await started();
  const { status, body } = await get("/api/v1/example?count=13");
  expect(status).toBe(500);
  expect(JSON.parse(body)).toMatchObject({ error: { code: "X0_NODE_INTERNAL" } });
  expect(body).not.toContain("secret");
  expect(log.join("")).toContain("unlucky and secret");
});

test("health lists parts and features, and a failed part makes the agent not ready", async () => {
  const { example, get } = await started();
  const health = agentHealthSchema.parse(JSON.parse((await get("/api/v1/health")).body));
  expect(health).toMatchObject({ state: "on", version: "1.2.3", pid: process.pid });
  expect(health.parts).toEqual([
    {
      name: "example",
      state: "on",
      features: [{ name: "wings", state: "off", reason: "no feathers", hint: "grow some" }],
    },
  ]);
  expect((await get("/readyz")).status).toBe(200);
  example.state = "failed";
  expect(await get("/readyz")).toMatchObject({ status: 503, body: "failed: example\n" });
  expect((await get("/healthz")).status).toBe(200);
});

test("the OpenAPI document describes every route from its schemas", async () => {
  const { get } = await started();
  const document = JSON.parse((await get("/api/v1/openapi.json")).body);
  expect(document.openapi).toBe("3.1.0");
  expect(Object.keys(document.paths).sort()).toEqual([
    "/api/v1/example",
    "/api/v1/example/bytes",
    "/api/v1/example/stream",
    "/api/v1/health",
    "/api/v1/openapi.json",
    "/healthz",
    "/metrics",
    "/readyz",
  ]);
  const { get: operation } = document.paths["/api/v1/example"];
  expect(operation.parameters).toMatchObject([
    { name: "count", in: "query", required: false, schema: { type: "integer", default: 1 } },
    { name: "since", in: "query", required: false, schema: { type: "string" } },
  ]);
  expect(operation.responses[200].content["application/json"].schema.properties).toHaveProperty("count");
  expect(document.paths["/api/v1/example/stream"].get.responses[200].content).toHaveProperty(
    "text/event-stream",
  );
});

test("metrics count what was asked, in both formats", async () => {
  const { get, port } = await started();
  await get("/api/v1/example");
  const text = await ask(port, "/metrics");
  expect(text.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
  expect(text.body).toContain(
    'x0tta6bl4_http_requests_total{route="/api/v1/example",method="GET",status="200"} 1',
  );
  expect(text.body).toContain('x0tta6bl4_node_health{part="example",feature="wings",state="off"} 1');
  expect(text.body).toContain('x0tta6bl4_node_health{part="example",feature="wings",state="on"} 0');
  const open = await ask(port, "/metrics", { accept: "application/openmetrics-text;version=1.0.0" });
  expect(open.headers["content-type"]).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
  expect(open.body.endsWith("# EOF\n")).toBe(true);
});

test("the console is served from memory with an ETag, or says that it was not built", async () => {
  const folder = temporaryFolder();
  const { agent } = await startTestAgent({ dataDirectory: folder });
  const get = (path: string, headers = {}) => ask(agent.folder.socket, path, headers);
  const unbuilt = await get("/");
  expect([unbuilt.status, unbuilt.body]).toEqual([503, expect.stringContaining("npm run build")]);

  mkdirSync(join(folder, "site/assets"), { recursive: true });
  writeFileSync(join(folder, "site/index.html"), "<!doctype html>page");
  writeFileSync(join(folder, "site/assets/app.js"), "let x;");
  const page = await get("/?ip=10.0.0.1");
  expect(page).toMatchObject({ status: 200, body: "<!doctype html>page" });
  expect(page.headers["content-type"]).toBe("text/html; charset=utf-8");
  expect(page.headers["content-security-policy"]).toMatch(/script-src 'self';/);
  const script = await get("/assets/app.js");
  expect(script.headers["content-type"]).toBe("text/javascript; charset=utf-8");
  const again = await get("/assets/app.js", { "if-none-match": script.headers.etag });
  expect([again.status, again.body]).toEqual([304, ""]);
  writeFileSync(join(folder, "site/assets/app.js"), "changed on disk");
  expect((await get("/assets/app.js")).body).toBe("let x;");
  for (const outside of ["/../token", "/assets/../../token", "/%2e%2e/token", "/token"])
    expect((await get(outside)).status, outside).toBe(404);
});
