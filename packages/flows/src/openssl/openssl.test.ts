/** Probes on real processes: Node, which carries OpenSSL in itself, and Python and curl, which share the system's. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { Agent, request } from "node:https";
import { promisify } from "node:util";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { openLibc } from "../kernel/libc.ts";
import type { OpensslExchange } from "./exchanges.ts";
import { openOpenssl } from "./openssl.ts";
import { startClient, startServer, startShell } from "./testing/children.ts";
import { libraryFolder } from "./testing/library.ts";

const SECRET = "hunter2";

beforeEach((context) => requireKernel(context, "bpf", "btf", "mount"));

async function curl(...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)("curl", ["--silent", "--fail-with-body", "--insecure", ...args])).stdout;
}

function opened(...services: readonly string[]) {
  const told: OpensslExchange[] = [];
  const openssl = openOpenssl(openLibc(), { services }, (exchange) => told.push(exchange));
  return { told, openssl, [Symbol.asyncDispose]: () => openssl.close() };
}

test("a server's requests: method, path, status, and nothing that is secret", async () => {
  await using server = await startServer("x0-tls-a");
  await using probes = opened("x0-tls-a");
  probes.openssl.discover();
  const url = `https://127.0.0.1:${server.port}`;
  const header = ["--header", `X-Secret: ${SECRET}`, "--header", `Cookie: id=${SECRET}`];
  const body = ["--data", `GET /${SECRET} HTTP/1.1 ${SECRET}`];
  expect(await curl(...header, `${url}/first?token=${SECRET}#${SECRET}`)).toContain(SECRET);
  expect(await curl(...header, ...body, "-X", "PUT", `${url}/second;v=${SECRET}?${SECRET}`)).toContain(
    SECRET,
  );
  await curl(`${url}/failed?${SECRET}`).catch(() => undefined);
  probes.openssl.read();
  const common = { pid: server.pid, isServer: true };
  expect(probes.told).toMatchObject([
    { ...common, method: "GET", target: "/first", status: "200", isError: false },
    { ...common, method: "PUT", target: "/second", status: "200", isError: false },
    { ...common, method: "GET", target: "/failed", status: "503", isError: true },
  ]);
  const now = Number(process.hrtime.bigint());
  for (const { beganNs, latencyNs } of probes.told) {
    expect(latencyNs).toBeGreaterThan(0);
    expect(beganNs + latencyNs).toBeLessThan(now);
  }
  const { features, totals } = probes.openssl;
  expect(JSON.stringify([probes.told, features(), totals()])).not.toContain(SECRET);
  expect(totals()).toMatchObject({ exchanges: 3, lost: 0, unread: 0 });
});

test("a client's requests, by the other functions of the shared library", async () => {
  await using server = await startServer("x0-tls-b");
  await using client = await startClient("x0-tls-c");
  await using probes = opened("x0-tls-c");
  probes.openssl.discover();
  for (const path of ["/one?hunter2", "/two?hunter2"])
    expect(await client.ask(`${server.port} ${path}`)).toBe("GOT");
  probes.openssl.read();
  const common = { pid: client.pid, isServer: false, method: "GET", status: "200" };
  expect(probes.told).toMatchObject([
    { ...common, target: "/one" },
    { ...common, target: "/two" },
  ]);
  expect(probes.openssl.features()[0]?.detail).toContain("libssl");
});

test("many requests of one connection, and one that is first answered 100", async () => {
  await using server = await startServer("x0-tls-d");
  await using probes = opened("x0-tls-d");
  probes.openssl.discover();
  const url = `https://127.0.0.1:${server.port}`;
  await curl(`${url}/kept/[1-100]`);
  await curl("--header", "Expect: 100-continue", "--data", "x".repeat(100_000), `${url}/posted`);
  probes.openssl.read();
  expect(probes.told.slice(0, 100).map(({ target }) => target)).toEqual(
    Array.from({ length: 100 }, (_, index) => `/kept/${index + 1}`),
  );
  expect(probes.told.slice(100)).toMatchObject([{ method: "POST", target: "/posted", status: "200" }]);
});

test("the socket of an exchange, as ss names it, among several connections", async () => {
  await using server = await startServer("x0-tls-i");
  await using probes = opened("x0-tls-i");
  probes.openssl.discover();
  const agents = [1, 2, 3].map(() => new Agent({ keepAlive: true, rejectUnauthorized: false }));
  const localPorts: number[] = [];
  const ask = async (agent: Agent, path: string): Promise<void> => {
    const sent = request({ agent, host: "127.0.0.1", port: server.port, path }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    localPorts.push(sent.socket?.localPort ?? 0);
    await once(response.resume(), "end");
  };
  for (const agent of agents) await ask(agent, "/");
  // Reading a cookie is what makes the kernel give one.
  const filter = ["sport", "=", `:${server.port}`];
  const { stdout } = await promisify(execFile)("ss", ["-H", "-t", "-n", "-e", ...filter]);
  const cookies = new Map(
    [...stdout.matchAll(/127\.0\.0\.1:\d+ +127\.0\.0\.1:(\d+) .*?\bsk:(\w+)/g)].map(([, port, cookie]) => [
      Number(port),
      String(BigInt(`0x${cookie}`)),
    ]),
  );
  for (const [index, agent] of agents.entries()) await ask(agent, `/${index}`);
  probes.openssl.read();
  expect(new Set(cookies.values()).size).toBe(3);
  expect(probes.told.slice(3).map(({ cookie }) => cookie)).toEqual(
    localPorts.slice(3).map((port) => cookies.get(port)),
  );
  for (const agent of agents) agent.destroy();
});

test("processes that were not named are not looked at, though they have the same file", async () => {
  await using named = await startServer("x0-tls-e");
  await using other = await startServer("x0-tls-f");
  await using probes = opened("x0-tls-e");
  probes.openssl.discover();
  await curl(`https://127.0.0.1:${other.port}/other`);
  expect(probes.openssl.totals().calls).toBe(0);
  await curl(`https://127.0.0.1:${named.port}/named`);
  probes.openssl.read();
  expect(probes.told.map(({ target }) => target)).toEqual(["/named"]);
});

test("processes come and go", async () => {
  await using probes = opened("x0-tls-g");
  const state = () => probes.openssl.features()[0]?.state;
  const requested = async (port: number): Promise<number> => {
    await curl(`https://127.0.0.1:${port}/`);
    probes.openssl.read();
    return probes.told.splice(0).length;
  };
  probes.openssl.discover();
  expect(state()).toBe("off");
  {
    await using first = await startServer("x0-tls-g");
    expect(await requested(first.port)).toBe(0);
    probes.openssl.discover();
    expect(state()).toBe("on");
    expect(await requested(first.port)).toBe(1);
    await using second = await startServer("x0-tls-g");
    probes.openssl.discover();
    expect(probes.openssl.features()[0]?.detail).toContain("2 of 2 processes");
    expect(await requested(second.port)).toBe(1);
  }
  probes.openssl.discover();
  expect(state()).toBe("off");
});

test("a library that was replaced since is probed where it is mapped", async () => {
  await using server = await startServer("x0-tls-j");
  using library = libraryFolder();
  await using client = await startClient("x0-tls-k", library.folder);
  library.remove();
  await using probes = opened("x0-tls-k");
  probes.openssl.discover();
  expect(probes.openssl.features()[0]?.detail).toContain(library.folder);
  await client.ask(`${server.port} /replaced`);
  probes.openssl.read();
  expect(probes.told.map(({ target }) => target)).toEqual(["/replaced"]);
});

test("a library whose file system is unknown is left alone, and that is said", async () => {
  using library = libraryFolder();
  await using _client = await startClient("x0-tls-l", library.folder);
  library.unmount();
  await using probes = opened("x0-tls-l");
  probes.openssl.discover();
  expect(probes.openssl.features()).toMatchObject([
    {
      state: "off",
      reason: expect.stringMatching(/libssl.* is on a file system that is not mounted any more/),
    },
  ]);
});

test("a service without OpenSSL says so", async () => {
  await using _shell = await startShell("x0-tls-h");
  await using probes = opened("x0-tls-h", "x0-tls-none");
  probes.openssl.discover();
  expect(probes.openssl.features()).toMatchObject([
    { name: "HTTP inside OpenSSL of x0-tls-h", state: "off", reason: "no functions of OpenSSL are mapped" },
    {
      name: "HTTP inside OpenSSL of x0-tls-none",
      state: "off",
      reason: expect.stringContaining("no process"),
    },
  ]);
});
