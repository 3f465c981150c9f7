/** IPFIX through real sockets on loopback, each read by a collector of our own that is strict. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { type Clock, systemClock } from "@x0tta6bl4/core";
import { expect, test, vi } from "vitest";
import { mixedFlows, testFlow } from "../../testing/flows.ts";
import { batch, figures, openExport } from "../testing/batches.ts";
import { ipfixReader, type ReadMessage, splitMessages } from "../testing/ipfix.ts";

/** A clock of which the wall's part is set by hand. */
const setClock = (): Clock & { now: number } => ({
  now: Date.UTC(2026, 10, 22),
  nowMs() {
    return this.now;
  },
  monotonicNs: systemClock.monotonicNs,
});

async function udpCollector(port = 0) {
  const socket = createSocket("udp4");
  const reader = ipfixReader();
  const messages: ReadMessage[] = [];
  socket.on("message", (bytes) => void messages.push(reader.read(bytes)));
  socket.bind(port, "127.0.0.1");
  await once(socket, "listening");
  return {
    port: socket.address().port,
    messages,
    data: () => dataOf(messages),
    [Symbol.dispose]: () => void socket.close(),
  };
}

/** Data records of flows, without the statistics. */
const dataOf = (messages: readonly ReadMessage[]) =>
  messages.flatMap(({ records }) => records.filter(({ template }) => template < 264));

/** Sequence numbers are those of the data records before (RFC 7011 §3.1). */
function expectSequence(messages: readonly ReadMessage[]): void {
  let next = 0;
  for (const { sequence, records } of messages) {
    expect(sequence).toBe(next);
    next += records.length;
  }
}

const flows = mixedFlows(1, 200).map((flow) => ({ ...flow, netns: 1, state: "ended" as const }));

test("over UDP all records arrive in messages that fit every path, templates first", async () => {
  using collector = await udpCollector();
  const sink = openExport({ to: `udp:127.0.0.1:${collector.port}` });
  sink.take(batch(flows), []);
  await sink.close(10_000);
  await vi.waitFor(() => expect(collector.data().length).toBe(figures(sink)["records"]));
  expect(collector.messages[0]?.templates).toEqual([256, 257, 258, 259, 260, 261, 262, 263]);
  expect(collector.messages[1]?.templates).toEqual([264]);
  expect(Math.max(...collector.messages.map(({ length }) => length))).toBeLessThanOrEqual(1232);
  expectSequence(collector.messages);
  expect(new Set(collector.messages.map(({ domain }) => domain))).toEqual(new Set([1]));
});

test("over UDP templates come again after a minute, also when the clock is set back", async () => {
  using collector = await udpCollector();
  const clock = setClock();
  const sink = openExport({ to: `udp:127.0.0.1:${collector.port}`, fields: ["octetDeltaCount"] }, clock);
  const announcements = async (step: number, sent: number): Promise<number> => {
    clock.now += step;
    sink.take(batch([testFlow({ packets: { sent: 1, received: 0 } })]), []);
    await vi.waitFor(() => expect(collector.data().length).toBe(sent));
    return collector.messages.filter(({ templates }) => templates.includes(256)).length;
  };
  expect(await announcements(0, 1)).toBe(1);
  expect(await announcements(59_000, 2)).toBe(1);
  expect(await announcements(1000, 3)).toBe(2);
  expect(await announcements(-3_600_000, 4)).toBe(3);
  await sink.close(1000);
  expect(collector.messages.at(-1)?.exportSeconds).toBe(Date.UTC(2026, 10, 21, 23, 1) / 1000);
});

test("over UDP a collector that was away gets templates when it is back; what it missed is counted", async () => {
  const { port } = await udpCollector().then((first) => {
    first[Symbol.dispose]();
    return first;
  });
  const sink = openExport({ to: `udp:127.0.0.1:${port}` });
  const one = [testFlow({ packets: { sent: 1, received: 0 } })];
  // The first datagram is refused by a message that the next one is told.
  for (let lost = 0; lost === 0; lost = figures(sink)["dropped_records unreachable"] ?? 0) {
    sink.take(batch(one), []);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(sink.features()).toMatchObject([
    { state: "degraded", reason: expect.stringMatching(/ECONNREFUSED/) },
  ]);
  using collector = await udpCollector(port);
  for (let tries = 0; collector.data().length === 0 && tries < 100; tries++) {
    sink.take(batch(one), []);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(collector.data().length).toBeGreaterThan(0);
  expect(sink.features()).toMatchObject([{ state: "on" }]);
  await sink.close(1000);
});

async function tcpCollector(read: (socket: Socket) => void, port = 0): Promise<Server> {
  const server = createServer(read);
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return server;
}

const portOf = (server: Server): number => (server.address() as AddressInfo).port;

/** A collector that keeps what each connection said. */
function sessions() {
  const all: ReadMessage[][] = [];
  return {
    all,
    data: () => all.flatMap(dataOf),
    read(socket: Socket) {
      const messages: ReadMessage[] = [];
      const reader = ipfixReader();
      all.push(messages);
      let rest = new Uint8Array();
      socket.on("error", () => {});
      socket.on("data", (part: Buffer) => {
        const split = splitMessages(Buffer.concat([rest, part]));
        rest = Uint8Array.from(split.rest);
        messages.push(...split.messages.map((message) => reader.read(message)));
      });
    },
  };
}

test("over TCP one stream carries all, and its end is in good order", async () => {
  const collector = sessions();
  await using server = await tcpCollector(collector.read);
  const sink = openExport({ to: `tcp:127.0.0.1:${portOf(server)}`, format: "ipfix-biflow" });
  sink.take(batch(flows), []);
  sink.take(batch(flows), []);
  await sink.close(10_000);
  await vi.waitFor(() => expect(collector.data().length).toBe(figures(sink)["records"]));
  expect(collector.data().length).toBe(400);
  expect(collector.all.length).toBe(1);
  expectSequence(collector.all[0] ?? []);
});

test("over TCP a new connection begins anew, and nothing that waited is lost", async () => {
  const collector = sessions();
  let first: Socket | undefined;
  const server = await tcpCollector((socket) => {
    first = socket;
    collector.read(socket);
  });
  const port = portOf(server);
  const sink = openExport({ to: `tcp:127.0.0.1:${port}` });
  sink.take(batch([testFlow()]), []);
  await vi.waitFor(() => expect(collector.data().length).toBe(2));
  server.close();
  // It has closed once the other side did too.
  first?.end();
  await vi.waitFor(() => expect(first?.closed).toBe(true));
  sink.take(batch([testFlow({ id: "2" })]), []);
  await vi.waitFor(() => expect(sink.features()).toMatchObject([{ state: "degraded" }]));
  await using _ = await tcpCollector(collector.read, port);
  await sink.close(10_000);
  await vi.waitFor(() => expect(collector.data().length).toBe(4));
  expect(collector.all.length).toBe(2);
  for (const messages of collector.all) {
    expect(messages[0]?.templates).toContain(256);
    expectSequence(messages);
  }
  expect(figures(sink)["retries"]).toBeGreaterThan(0);
});

test("over TCP a collector that does not read holds nobody up", async () => {
  const stalled: Socket[] = [];
  await using server = await tcpCollector((socket) => void stalled.push(socket.pause()));
  const sink = openExport({ to: `tcp:127.0.0.1:${portOf(server)}` });
  // More than both socket buffers and the queue hold.
  const big = batch(mixedFlows(2, 4000).map((flow) => ({ ...flow, netns: 1 })));
  for (let taken = 0; taken < 400 && figures(sink)["dropped_records queue_full"] === undefined; taken++) {
    sink.take(big, []);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(figures(sink)["dropped_records queue_full"]).toBeGreaterThan(0);
  await sink.close(50);
  const { records = 0, queued_records: queued, ...rest } = figures(sink);
  expect(queued).toBe(0);
  expect(rest["dropped_records unsent"]).toBeGreaterThan(0);
  expect(records).toBeGreaterThanOrEqual(0);
  for (const socket of stalled) socket.destroy();
});

test("statistics tell what was exported and what was lost", async () => {
  using collector = await udpCollector();
  const clock = setClock();
  const sink = openExport({ to: `udp:127.0.0.1:${collector.port}` }, clock);
  const lost = { lostPackets: 5, lostBytes: 300, uncounted: 2 };
  const statistics = () =>
    collector.messages.flatMap(({ records }) => records.filter((r) => r.template === 264));
  sink.take(batch([testFlow()], lost), []);
  await vi.waitFor(() => expect(collector.data().length).toBe(2));
  clock.now += 60_000;
  sink.take(batch([testFlow()], lost), []);
  await vi.waitFor(() => expect(collector.data().length).toBe(4));
  await sink.close(1000);
  const told = [149, 42, 164, 165, 166].map((element) => statistics().at(-1)?.values.get(element));
  expect(told).toEqual([4_026_531_840n, 2n, 14n, 600n, 0n]);
});
