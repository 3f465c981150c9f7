/** Insight on real sockets of this machine: each feature told by the kernel side, parsed, and on its flow. */
import { type ChildProcess, spawn } from "node:child_process";
import { createSocket, type Socket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { Agent, createServer as createHttpServer, request } from "node:http";
import { createServer as createHttpsServer, request as httpsRequest } from "node:https";
import { type AddressInfo, createServer, connect as dial, type Server } from "node:net";
import { basename } from "node:path";
import { createServer as createTlsServer, connect as dialTls } from "node:tls";
import { fileURLToPath } from "node:url";
import { beforeEach, expect, test, vi } from "vitest";
import {
  connect,
  createNamespace,
  dropPackets,
  requireKernel,
  tcpTraffic,
} from "../../../../test/lab/index.ts";
import type { DnsEvent, DropEvent, FlowEvent, RequestEvent, ScanEvent } from "../event.ts";
import { dnsAnswer } from "../testing/dns-server.ts";
import { type Observed, observe } from "../testing/observed.ts";
import { selfSigned } from "../testing/tls.ts";

beforeEach((context) => requireKernel(context, "netns"));

const host = "127.0.0.1";

async function listening(server: Server): Promise<number> {
  await once(server.listen(0, host), "listening");
  return (server.address() as AddressInfo).port;
}

async function bound(): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket("udp4");
  socket.bind(0, host);
  await once(socket, "listening");
  return { socket, port: socket.address().port };
}

/** Waits until an event is there that fits. */
async function eventually<E extends FlowEvent>(
  observed: Observed,
  fits: (event: FlowEvent) => boolean,
): Promise<E> {
  return vi.waitFor(
    () => {
      const found = observed.events().find(fits);
      expect(found).toBeDefined();
      return found as E;
    },
    { timeout: 10_000, interval: 50 },
  );
}

test("a name that was asked for is on the connection that follows", async () => {
  const { socket, port } = await bound();
  using observed = observe({ services: [{ protocol: "udp", port, application: "dns" }] });
  socket.on("message", (query, peer) =>
    socket.send(
      dnsAnswer(query, "127.0.0.9", { isUnknown: query.includes("nowhere") }),
      peer.port,
      peer.address,
    ),
  );
  const resolver = new Resolver();
  resolver.setServers([`${host}:${port}`]);
  await resolver.resolve4("DB.example.test");
  await expect(resolver.resolve4("nowhere.example.test")).rejects.toThrow("ENOTFOUND");
  const server = createServer((peer) => peer.end());
  await once(server.listen(0, "127.0.0.9"), "listening");
  const client = dial((server.address() as AddressInfo).port, "127.0.0.9").resume();
  await once(client, "close");
  const answered = await eventually<DnsEvent>(
    observed,
    (event) => event.kind === "dns" && event.name === "db.example.test",
  );
  expect(answered).toMatchObject({
    type: "A",
    rcode: "NOERROR",
    answers: ["127.0.0.9"],
    ttlSeconds: 60,
    destination: { ip: host, port },
    process: { pid: process.pid },
  });
  expect(answered.latencyMs).toBeGreaterThan(0);
  const refused = await eventually<DnsEvent>(
    observed,
    (event) => event.kind === "dns" && event.name === "nowhere.example.test",
  );
  expect(refused).toMatchObject({ rcode: "NXDOMAIN", answers: [] });
  const [flow] = observed.capture.list({ limit: 1, ip: "127.0.0.9", protocol: "tcp" }).flows;
  expect(flow?.destination.name).toBe("db.example.test");
  const [look] = observed.capture.list({ limit: 1, port, protocol: "udp" }).flows;
  expect(look?.application).toBe("dns");
  server.close();
  socket.close();
});

test("an answer that nobody asked for teaches nothing", async () => {
  const { socket, port } = await bound();
  const { socket: victim, port: victimPort } = await bound();
  using observed = observe({ services: [{ protocol: "udp", port, application: "dns" }] });
  const query = Buffer.from("1234010000010000000000000465766c6504746573740000010001", "hex");
  socket.send(dnsAnswer(query, "127.0.0.8"), victimPort, host);
  await once(victim, "message");
  const server = createServer((peer) => peer.end());
  await once(server.listen(0, "127.0.0.8"), "listening");
  const client = dial((server.address() as AddressInfo).port, "127.0.0.8").resume();
  await once(client, "close");
  expect(observed.events().filter(({ kind }) => kind === "dns")).toEqual([]);
  const [flow] = observed.capture.list({ limit: 1, ip: "127.0.0.8" }).flows;
  expect(flow?.destination.name).toBeNull();
  for (const open of [server, socket, victim]) open.close();
});

test.each([
  ["TLSv1.2", "1.2"],
  ["TLSv1.3", "1.3"],
] as const)(
  "%s and its server name are on the flow, also of a hello in two pieces",
  async (version, shown) => {
    const server = createTlsServer({ ...selfSigned(), ALPNProtocols: ["x0"] }, (socket) =>
      socket.end("hello"),
    );
    const port = await listening(server);
    using observed = observe({});
    // Enough to exceed what one event of the kernel side holds.
    const ALPNProtocols = ["x0", ...Array.from({ length: 120 }, (_, index) => `protocol-number-${index}`)];
    const client = dialTls({
      port,
      host,
      servername: "api.example.test",
      ALPNProtocols,
      rejectUnauthorized: false,
      minVersion: version,
      maxVersion: version,
    }).resume();
    await once(client, "close");
    server.close();
    const [flow] = observed.flows(ownNamespace(observed, port), { port });
    expect(flow).toMatchObject({
      application: "tls",
      tls: { version: shown, serverName: "api.example.test", encryptedHello: false },
    });
  },
);

test("requests of HTTP on a port of requests are timed, with their paths and statuses", async () => {
  const server = createHttpServer((message, reply) => {
    reply.statusCode = message.url?.startsWith("/broken") ? 503 : 200;
    setTimeout(() => reply.end("ok"), message.url?.startsWith("/slow") ? 30 : 0);
  });
  const port = await listening(server);
  using observed = observe({ services: [{ protocol: "tcp", port, application: "http" }] });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (const path of ["/fast", "/slow?token=secret", "/broken", "/fast"]) {
    const [reply] = await once(request({ host, port, path, agent }).end(), "response");
    reply.resume();
    await once(reply, "end");
  }
  agent.destroy();
  server.close();
  await eventually(observed, (event) => event.kind === "request" && event.target === "/broken");
  const events = observed.events().filter((event): event is RequestEvent => event.kind === "request");
  expect(events.map(({ method, target, status, isError }) => [method, target, status, isError])).toEqual([
    ["GET", "/fast", "200", false],
    ["GET", "/slow", "200", false],
    ["GET", "/broken", "503", true],
    ["GET", "/fast", "200", false],
  ]);
  expect(JSON.stringify(events)).not.toContain("secret");
  expect(events[1]?.latencyMs).toBeGreaterThanOrEqual(25);
  const [flow] = observed.capture.list({ limit: 1, port }).flows;
  expect(flow).toMatchObject({ application: "http", requests: { count: 4, errors: 1 } });
  const { requests } = observed.capture.totals().insight;
  expect(requests).toEqual(
    expect.arrayContaining([
      ["http", "ok", 3],
      ["http", "error", 1],
    ]),
  );
});

test("HTTP inside TLS of a named service is on its flow, without what it encrypts", async () => {
  const server = createHttpsServer(selfSigned(), (_, reply) => reply.writeHead(404).end("secret body"));
  const port = await listening(server);
  using observed = observe({ opensslServices: [basename(process.execPath)] });
  const headers = { authorization: "secret header" };
  const options = { host, port, path: "/orders?card=secret", headers, rejectUnauthorized: false };
  const [reply] = await once(httpsRequest(options).end(), "response");
  reply.resume();
  await once(reply, "end");
  const asked = await eventually<RequestEvent>(observed, ({ kind }) => kind === "request");
  expect(asked).toMatchObject({
    application: "http",
    method: "GET",
    target: "/orders",
    status: "404",
    encrypted: true,
    destination: { port },
  });
  expect(JSON.stringify(observed.events())).not.toContain("secret");
  const [flow] = observed.capture.list({ limit: 1, port }).flows;
  expect(flow?.requests?.count).toBeGreaterThanOrEqual(1);
  server.close();
});

test("a packet to a closed port is a drop with the kernel's reason, on its flow", async () => {
  const { socket } = await bound();
  const { socket: closed, port } = await bound();
  closed.close();
  using observed = observe({});
  // Who asks for flows with drops is told of the drops, too.
  observed.capture.follow(1, { limit: 1, port, dropped: "true" }, false);
  // Of the drops of a whole host only so many a window are told one by one.
  const again = setInterval(() => socket.send("anybody?", port, host), 50);
  const drop = await eventually<DropEvent>(
    observed,
    (event) => event.kind === "drop" && event.destination.port === port,
  );
  clearInterval(again);
  expect(drop).toMatchObject({ reason: "NO_SOCKET", fromSource: true, bytes: 36, interface: "lo" });
  const [flow] = observed.capture.list({ limit: 1, port, protocol: "udp" }).flows;
  expect(flow?.drops).toEqual({ packets: observed.told.length, reason: "NO_SOCKET" });
  expect(drop.flow).toBe(flow?.id);
  const counted = Object.fromEntries(observed.capture.totals().insight.drops)["NO_SOCKET"];
  expect(counted).toBeGreaterThanOrEqual(observed.told.length);
  expect(observed.told).toContainEqual(drop);
  expect(observed.told.map(({ kind, flow }) => `${kind} ${flow}`)).toEqual(
    observed.told.map(() => `drop ${drop.flow}`),
  );
  socket.close();
});

test("a connection tells how long it took to open, its round-trip time and what was sent again", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [, right] = await connect(client, server, { offloads: false });
  await using loss = await dropPackets(server, "eth0", { direction: "ingress", probability: 0.05 });
  using observed = observe({ namespaces: [client.path, server.path] });
  await tcpTraffic({
    client,
    server,
    host: right.ipv4,
    requestBytes: 600_000,
    writeBytes: 1000,
    replyBytes: 1000,
  });
  const { dropped } = await loss.counters();
  expect(dropped).toBeGreaterThan(0);
  const [flow] = observed.flows(client.inode, { protocol: "tcp" });
  expect(flow?.tcp?.connectMs).toBeGreaterThan(0);
  expect(flow?.tcp?.rttMs).toBeGreaterThan(0);
  expect(flow?.tcp?.minRttMs).toBeGreaterThan(0);
  expect(flow?.tcp?.retransmits).toBeGreaterThan(0);
  const [inbound] = observed.flows(server.inode, { protocol: "tcp" });
  expect(inbound?.tcp?.connectMs).toBeNull();
  expect(observed.capture.totals().insight.retransmits).toBeGreaterThan(0);
});

test("a connection older than the agent tells how it fares while it goes on", async () => {
  const server = createServer((peer) => peer.pipe(peer));
  const port = await listening(server);
  const client = dial(port, host).resume();
  await once(client, "connect");
  using observed = observe({});
  await vi.waitFor(
    () => {
      client.write("still here");
      const [flow] = observed.capture.list({ limit: 1, port }).flows;
      expect(flow?.tcp?.rttMs).toBeGreaterThan(0);
      expect(flow?.tcp?.connectMs).toBeNull();
    },
    { timeout: 10_000, interval: 100 },
  );
  client.destroy();
  server.close();
});

test("a connection belongs to the worker that serves it, not to the parent that listens", async () => {
  using observed = observe({});
  const script = fileURLToPath(new URL("../testing/prefork.ts", import.meta.url));
  const parent: ChildProcess = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await once(parent.stdout!.setEncoding("utf8"), "data");
    const [worker, port] = String(line).trim().split(" ").map(Number) as [number, number];
    const client = dial(port, host).resume();
    client.write("serve");
    await once(client, "close");
    const [flow] = observed.capture.list({ limit: 1, port }).flows;
    expect(flow?.process?.pid).toBe(process.pid);
    expect(worker).not.toBe(parent.pid);
    expect(flow?.peerProcess?.pid).toBe(worker);
  } finally {
    parent.kill("SIGKILL");
  }
});

test("a source that tries many ports is a scan, told once", async () => {
  const { socket } = await bound();
  using observed = observe({ scanThreshold: 50 });
  for (let port = 20_001; port <= 20_120; port++) socket.send("?", port, "127.0.0.77");
  const scan = await eventually<ScanEvent>(
    observed,
    (event) => event.kind === "scan" && event.scan === "ports",
  );
  expect(scan.source.ip).toBe(host);
  expect(scan.destination.ip).toBe("127.0.0.77");
  expect(scan.count).toBeGreaterThanOrEqual(50);
  expect(observed.events().filter(({ kind }) => kind === "scan")).toHaveLength(1);
  socket.close();
});

/** Of the flows on this port, which tells the namespace that this thread is in. */
function ownNamespace(observed: Observed, port: number): number {
  return observed.capture.list({ limit: 1, port }).flows[0]?.netns ?? 0;
}
