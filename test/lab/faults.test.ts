import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, connect as dial } from "node:net";
import { beforeEach, expect, test } from "vitest";
import { capture } from "./capture.ts";
import { delayRelay, dropPackets, limitRate } from "./faults.ts";
import { createNamespace } from "./namespace.ts";
import { requireKernel } from "./requirements.ts";
import { connect } from "./topology.ts";
import { ping, tcpTraffic, udpTraffic } from "./traffic.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables"));

for (const kind of ["tbf", "htb"] as const)
  test(`${kind} lets no more through than rate and burst allow`, async (context) => {
    await requireKernel(context, kind);
    await using a = await createNamespace();
    await using b = await createNamespace();
    const [, right] = await connect(a, b, { offloads: false });
    const bitsPerSecond = 16_000_000;
    const burstBytes = 8192;
    await using limit = await limitRate(a, "eth0", { kind, bitsPerSecond, burstBytes });
    const before = await a.link("eth0");
    const start = performance.now();
    await tcpTraffic({ client: a, server: b, host: right.ipv4, requestBytes: 500_000 });
    const { bytes, overlimits } = await limit.counters();
    const seconds = (performance.now() - start) / 1000;
    expect(bytes).toBeGreaterThan(500_000);
    // A token bucket may overdraw by the packet under way.
    expect(bytes).toBeLessThanOrEqual((bitsPerSecond / 8) * seconds + burstBytes + 1514);
    expect(overlimits).toBeGreaterThan(0);
    // To the byte: the last acknowledgement too has left when the traffic is over.
    expect((await a.link("eth0")).sent.bytes - before.sent.bytes).toBe(bytes);
  });

test("a tbf with a short queue drops", async (context) => {
  await requireKernel(context, "tbf");
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [, right] = await connect(a, b);
  const rate = { bitsPerSecond: 64_000, burstBytes: 2000, queueBytes: 4000 };
  await using limit = await limitRate(a, "eth0", rate);
  const options = { sender: a, receivers: [], host: right.ipv4, port: 9, count: 100, sizeBytes: 1000 };
  await udpTraffic(options);
  expect((await limit.counters()).drops).toBeGreaterThan(0);
});

test("loss comes near its rate, and what is not dropped arrives", async (context) => {
  await requireKernel(context, "bpf", "tcx");
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [, right] = await connect(a, b);
  await using watched = await capture(b, "eth0");
  const probability = 0.2;
  await using loss = await dropPackets(a, "eth0", { direction: "egress", probability });
  const count = 4000;
  await udpTraffic({ sender: a, receivers: [b], host: right.ipv4, count, sizeBytes: 10, lossy: true });
  const { dropped, passed } = await loss.counters();
  expect(dropped + passed).toBe(count);
  // Six standard deviations of the binomial distribution: wrong once in 10^9 runs.
  const deviation = Math.sqrt(count * probability * (1 - probability));
  expect(Math.abs(dropped - count * probability)).toBeLessThan(6 * deviation);
  expect((await watched.stop()).packets).toBe(passed);
  expect((await b.link("eth0")).received.packets).toBe(passed);
});

test("loss of all and of none, before and after another program", async (context) => {
  await requireKernel(context, "bpf", "tcx");
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [, right] = await connect(a, b);
  const all = { sender: a, receivers: [], host: right.ipv4, port: 9, count: 20, sizeBytes: 10 };
  await using last = await dropPackets(b, "eth0", { direction: "ingress", probability: 1 });
  {
    await using first = await dropPackets(b, "eth0", {
      direction: "ingress",
      probability: 0,
      order: "first",
    });
    await udpTraffic(all);
    expect(await first.counters()).toEqual({ dropped: 0, passed: 20 });
    expect(await last.counters()).toEqual({ dropped: 20, passed: 0 });
  }
  {
    const accept = { direction: "ingress", probability: 0, order: "first", verdict: "pass" } as const;
    await using first = await dropPackets(b, "eth0", accept);
    await udpTraffic(all);
    expect(await first.counters()).toEqual({ dropped: 0, passed: 20 });
    // TCX_PASS ends the chain.
    expect(await last.counters()).toEqual({ dropped: 20, passed: 0 });
  }
  await last[Symbol.asyncDispose]();
  expect(await ping(a, { host: right.ipv4, count: 2 })).toMatchObject({ received: 2 });
});

test("a TCP relay holds each way back, in order, and passes the end on", async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as { port: number };
  await using relay = await delayRelay([], {
    protocol: "tcp",
    listen: { host: "127.0.0.1", port: 0 },
    target: { host: "127.0.0.1", port },
    delayMs: 20,
    jitterMs: 10,
    seed: 7,
  });
  const client = dial({ host: "127.0.0.1", port: relay.ready.port });
  await once(client, "connect");
  const text = Array.from({ length: 200 }, (_, line) => `line ${line}\n`).join("");
  let echoed = "";
  let firstAt: number | undefined;
  client.setEncoding("utf8").on("data", (data: string) => {
    firstAt ??= performance.now();
    echoed += data;
  });
  const sentAt = performance.now();
  for (const line of text.split(/(?<=\n)/)) client.write(line);
  client.end();
  await once(client, "close");
  server.close();
  expect(echoed).toBe(text);
  expect((firstAt as number) - sentAt).toBeGreaterThanOrEqual(40);
  expect(await relay.finish()).toEqual({ forward: expect.any(Number), back: expect.any(Number) });
});

test("a UDP relay delays each datagram both ways", async () => {
  const echo = createSocket("udp4");
  echo.on("message", (data, from) => echo.send(data, from.port, from.address));
  await once(echo.bind(0, "127.0.0.1"), "listening");
  await using relay = await delayRelay([], {
    protocol: "udp",
    listen: { host: "127.0.0.1", port: 0 },
    target: { host: "127.0.0.1", port: echo.address().port },
    delayMs: 15,
  });
  const client = createSocket("udp4");
  const sentAt: number[] = [];
  const roundTrips: number[] = [];
  const all = Promise.withResolvers<void>();
  client.on("message", (data) => {
    roundTrips.push(performance.now() - (sentAt[data.readUInt8(0)] as number));
    if (roundTrips.length === 20) all.resolve();
  });
  for (let index = 0; index < 20; index++) {
    sentAt.push(performance.now());
    client.send(Buffer.of(index), relay.ready.port, "127.0.0.1");
  }
  await all.promise;
  client.close();
  echo.close();
  expect(Math.min(...roundTrips)).toBeGreaterThanOrEqual(30);
  expect(await relay.finish()).toEqual({ forward: 20, back: 20 });
});
