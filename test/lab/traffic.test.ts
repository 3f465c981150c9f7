import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { createNamespace, type Namespace } from "./namespace.ts";
import { missingKernel, requireKernel } from "./requirements.ts";
import { connect, type Interface } from "./topology.ts";
import { ping, shortLivedConnection, tcpServer, tcpTraffic, udpTraffic } from "./traffic.ts";

const stack = new AsyncDisposableStack();
let client: Namespace;
let server: Namespace;
let left: Interface;
let right: Interface;

beforeEach((context) => requireKernel(context, "netns", "nftables"));
beforeAll(async () => {
  if ((await missingKernel("netns", "nftables")) !== undefined) return;
  client = stack.use(await createNamespace());
  server = stack.use(await createNamespace());
  [left, right] = await connect(client, server, { offloads: false });
});
afterAll(() => stack.disposeAsync());

/** Packets that crossed the link during `traffic`, from the client and back. */
async function crossing<T>(traffic: () => Promise<T>): Promise<{ out: number; back: number; result: T }> {
  const before = await client.link("eth0");
  const result = await traffic();
  const after = await client.link("eth0");
  return {
    out: after.sent.packets - before.sent.packets,
    back: after.received.packets - before.received.packets,
    result,
  };
}

for (const version of ["ipv4", "ipv6"] as const) {
  test(`TCP over ${version} delivers each byte both ways, a packet or more a write`, async () => {
    for (const [requestBytes, replyBytes, writeBytes] of [
      [200, 0, 1],
      [1000, 100_000, 100],
      [300_000, 1, 65_536],
    ] as const) {
      const { out, back, result } = await crossing(() =>
        tcpTraffic({
          client,
          server,
          host: right[version],
          connections: 3,
          requestBytes,
          replyBytes,
          writeBytes,
        }),
      );
      expect(result.client.connections.map((each) => each.remotePort)).toEqual(Array(3).fill(result.port));
      for (const connection of result.client.connections)
        expect(connection).toMatchObject({
          sentBytes: requestBytes,
          receivedBytes: replyBytes,
          error: undefined,
        });
      for (const connection of result.server.connections)
        expect(connection).toMatchObject({
          sentBytes: replyBytes,
          receivedBytes: requestBytes,
          error: undefined,
        });
      expect(result.server.connections.map((each) => each.remotePort)).toEqual(
        result.client.connections.map((each) => each.localPort),
      );
      const segments = (bytes: number): number => 3 * Math.ceil(bytes / 1448);
      expect(out).toBeGreaterThan(segments(requestBytes));
      expect(back).toBeGreaterThan(segments(replyBytes));
    }
  });

  test(`a reset over ${version} is one, after all has come`, async () => {
    const host = right[version];
    const traffic = { client, server, host, connections: 2, requestBytes: 5000, replyBytes: 10 };
    const { server: report } = await tcpTraffic({ ...traffic, close: "reset" });
    for (const connection of report.connections)
      expect(connection).toMatchObject({ sentBytes: 10, receivedBytes: 5000, error: "ECONNRESET" });
  });

  test(`UDP over ${version}: one packet a datagram, more where it is cut into fragments`, async () => {
    const host = right[version];
    const small = await crossing(() =>
      udpTraffic({ sender: client, receivers: [server], host, count: 700, sizeBytes: 20 }),
    );
    expect(small).toMatchObject({ out: 700, back: 0 });
    expect(small.result.receivers).toMatchObject([{ received: 700, receivedBytes: 14_000 }]);
    const echoed = await crossing(() =>
      udpTraffic({ sender: client, receivers: [server], host, count: 30, sizeBytes: 1000, echo: true }),
    );
    expect(echoed).toMatchObject({ out: 30, back: 30, result: { sender: { received: 30 } } });
    const large = await crossing(() =>
      udpTraffic({ sender: client, receivers: [server], host, count: 5, sizeBytes: 60_000 }),
    );
    // 60,008 bytes in pieces of 1480, or 1448 behind IPv6's fragment header; each a multiple of 8.
    expect(large).toMatchObject({ out: 5 * (version === "ipv4" ? 41 : 42), back: 0 });
  });

  test(`UDP over ${version} to a closed port is answered by an error each`, async () => {
    const traffic = {
      sender: client,
      receivers: [],
      host: right[version],
      port: 9,
      count: 20,
      sizeBytes: 30,
    };
    expect(await crossing(() => udpTraffic(traffic))).toMatchObject({ out: 20, back: 20 });
  });

  test(`echo over ${version}`, async () => {
    const { out, back, result } = await crossing(() => ping(client, { host: right[version], count: 7 }));
    expect({ out, back }).toEqual({ out: 7, back: 7 });
    expect(result).toMatchObject({ sent: 7, received: 7 });
    expect(await ping(client, { host: version === "ipv4" ? "127.0.0.1" : "::1", count: 2 })).toMatchObject({
      received: 2,
    });
  });

  test(`a process of 20 ms that connects over ${version}`, async () => {
    const shape = { connections: 1, requestBytes: 1, replyBytes: 0, writeBytes: 1 };
    await using listener = await tcpServer(server, { host: right[version], port: 0, ...shape });
    const { pid, comm, executable } = await shortLivedConnection(client, right[version], listener.ready.port);
    expect(pid).toBeGreaterThan(1);
    expect([comm, executable]).toEqual(["bash", expect.stringMatching(/\/bash$/)]);
    expect((await listener.result).connections).toMatchObject([{ receivedBytes: 1 }]);
  });
}

test("multicast and broadcast reach every receiver with one packet each", async () => {
  for (const [host, from] of [
    ["239.1.2.3", left.ipv4],
    ["10.77.1.255", left.ipv4],
    ["ff05::77", left.ipv6],
  ] as const) {
    const { out, result } = await crossing(() =>
      udpTraffic({ sender: client, receivers: [server], host, from, count: 10, sizeBytes: 100 }),
    );
    expect(out).toBe(10);
    expect(result.receivers).toMatchObject([{ received: 10, receivedBytes: 1000 }]);
  }
});

test("a reset without a reply is refused: nobody would know what had come", async () => {
  const traffic = { client, server, host: right.ipv4, requestBytes: 1, close: "reset" } as const;
  await expect(tcpTraffic(traffic)).rejects.toThrow(RangeError);
});
