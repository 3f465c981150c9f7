import { statSync } from "node:fs";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { ask, startTestAgent } from "../testing/agent.ts";
import { examplePart } from "../testing/example.ts";

async function started() {
  const { agent, port } = await startTestAgent({ parts: [examplePart().definition] });
  return { agent, port, token: agent.token, bearer: { authorization: `Bearer ${agent.token}` } };
}

const protectedPaths = [
  "/",
  "/api/v1/health",
  "/api/v1/openapi.json",
  "/api/v1/example",
  "/api/v1/example/stream",
  "/app.js",
  "/nothing",
];
const openPaths = ["/healthz", "/readyz", "/metrics"];

test("without the token only health and metrics answer", async () => {
  const { port } = await started();
  for (const path of openPaths) expect((await ask(port, path)).status, path).toBe(200);
  for (const path of protectedPaths) {
    const answer = await ask(port, path);
    expect(answer.status, path).toBe(401);
    expect(JSON.parse(answer.body), path).toMatchObject({ error: { code: "X0_NODE_UNAUTHORIZED" } });
  }
  expect((await ask(port, "/api/v1/health", {}, "POST")).status).toBe(401);
});

test("the bearer token opens the API, a wrong one does not", async () => {
  const { port, token, bearer } = await started();
  expect((await ask(port, "/api/v1/health", bearer)).status).toBe(200);
  for (const wrong of ["", "x", `${token}x`, token.slice(1), token.toLowerCase()])
    expect((await ask(port, "/api/v1/health", { authorization: `Bearer ${wrong}` })).status, wrong).toBe(401);
  expect((await ask(port, `/api/v1/health?token=${token}`)).status).toBe(401);
});

test("the console's URL gives a cookie for this port and leads to a page without the token", async () => {
  const { port, token } = await started();
  const signIn = await ask(port, `/?token=${token}`, { "sec-fetch-site": "none" });
  expect(signIn.status).toBe(303);
  expect(signIn.headers.location).toBe("/");
  const [cookie = ""] = signIn.headers["set-cookie"] ?? [];
  expect(cookie).toMatch(new RegExp(`^x0-${port}=[^;]+; Path=/; HttpOnly; SameSite=Strict$`));
  const pair = cookie.split(";", 1)[0] ?? "";
  expect((await ask(port, "/api/v1/health", { cookie: `other=1; ${pair}` })).status).toBe(200);
  expect((await ask(port, "/api/v1/health", { cookie: pair.replace(String(port), "1") })).status).toBe(401);
  const wrong = await ask(port, "/?token=wrong", { accept: "text/html" });
  expect([wrong.status, wrong.headers["set-cookie"]]).toEqual([401, undefined]);
});

test("a browser without the token is told where it is", async () => {
  const { agent, port } = await started();
  const { status, headers, body } = await ask(port, "/", { accept: "text/html,*/*;q=0.8" });
  expect(status).toBe(401);
  expect(headers["content-type"]).toBe("text/html; charset=utf-8");
  expect(headers["content-security-policy"]).toContain("default-src 'none'");
  expect(body).toContain(agent.folder.tokenFile);
});

test.each([
  "evil.example",
  "evil.example:PORT",
  "127.0.0.1",
  "127.0.0.1:1",
  "localhost:PORT.evil.example",
  "0.0.0.0:PORT",
])("a DNS name rebound to this machine reads nothing: Host %j", async (host) => {
  const { port, bearer } = await started();
  for (const path of [...openPaths, "/api/v1/health", "/"]) {
    const answer = await ask(port, path, { ...bearer, host: host.replace("PORT", String(port)) });
    expect(answer.status, path).toBe(403);
    expect(answer.body).not.toContain("x0tta6bl4_");
  }
});

test.each(["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT"])(
  "Host %s is this agent",
  async (host) => {
    const { port } = await started();
    expect((await ask(port, "/metrics", { host: host.replace("PORT", String(port)) })).status).toBe(200);
  },
);

test.each([
  [{ origin: "http://evil.example" }],
  [{ origin: "null" }],
  [{ origin: "http://127.0.0.1:1" }],
  [{ origin: "https://127.0.0.1:PORT" }],
  [{ "sec-fetch-site": "cross-site" }],
  [{ "sec-fetch-site": "same-site" }],
  [{ "sec-fetch-site": "same-origin", origin: "http://localhost.evil.example:PORT" }],
])("a page of another origin reads nothing, even with the token: %j", async (headers) => {
  const { port, bearer } = await started();
  const sent = Object.fromEntries(
    Object.entries(headers).map(([key, value]) => [key, value.replace("PORT", String(port))]),
  );
  for (const path of [...openPaths, "/api/v1/health", "/"]) {
    const answer = await ask(port, path, { ...bearer, ...sent });
    expect(answer.status, path).toBe(403);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  }
});

test("a request without a Host reads nothing", async () => {
  const { port } = await started();
  const socket = connect(port, "127.0.0.1");
  socket.end("GET /metrics HTTP/1.0\r\n\r\n");
  let answer = "";
  for await (const chunk of socket) answer += String(chunk);
  expect(answer).toMatch(/^HTTP\/1\.\d 403 /);
});

test("a page of the console itself may ask", async () => {
  const { port, bearer } = await started();
  const headers = { ...bearer, origin: `http://127.0.0.1:${port}`, "sec-fetch-site": "same-origin" };
  expect((await ask(port, "/api/v1/health", headers)).status).toBe(200);
});

test("the Unix socket needs no token, and its mode keeps others out", async () => {
  const { agent } = await started();
  expect((await ask(agent.folder.socket, "/api/v1/health", { host: "x0" })).status).toBe(200);
  expect(statSync(agent.folder.socket).mode & 0o777).toBe(0o660);
  expect(statSync(agent.folder.tokenFile).mode & 0o777).toBe(0o640);
  expect(statSync(agent.folder.path).mode & 0o007).toBe(0);
});
