import { beforeEach, expect, test } from "vitest";
import { type Captured, type CapturedFlow, capture } from "./capture.ts";
import { createNamespace } from "./namespace.ts";
import { requireKernel } from "./requirements.ts";
import { connect } from "./topology.ts";
import { ping, tcpTraffic, udpTraffic } from "./traffic.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables"));

function between(captured: Captured, from: string, to: string, protocol: string): CapturedFlow[] {
  return captured.flows.filter(
    (flow) => flow.source.ip === from && flow.destination.ip === to && flow.protocol === protocol,
  );
}

test("a capture holds every packet that the interface counted, by five-tuple", async () => {
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [left, right] = await connect(a, b, { offloads: false });
  const before = await b.link("eth0");
  await using running = await capture(b, "eth0");
  const udp = await udpTraffic({ sender: a, receivers: [b], host: right.ipv4, count: 2000, sizeBytes: 100 });
  const tcp = await tcpTraffic({
    client: a,
    server: b,
    host: right.ipv6,
    connections: 2,
    requestBytes: 100_000,
  });
  const large = await udpTraffic({ sender: a, receivers: [b], host: right.ipv6, count: 3, sizeBytes: 4000 });
  await ping(a, { host: right.ipv6, count: 4, sizeBytes: 3000 });
  const closed = { sender: a, receivers: [], host: right.ipv4, port: 9, count: 5, sizeBytes: 8 };
  const unheard = await udpTraffic(closed);
  const captured = await running.stop();
  const after = await b.link("eth0");

  expect(captured.other).toEqual({});
  expect(captured.packets).toBe(
    after.received.packets - before.received.packets + after.sent.packets - before.sent.packets,
  );
  const bytes = captured.flows.reduce((sum, flow) => sum + flow.bytes, 0) + 14 * captured.packets;
  expect(bytes).toBe(after.received.bytes - before.received.bytes + after.sent.bytes - before.sent.bytes);

  const ports = (port: number, source: number): object => ({
    source: { port: source },
    destination: { port },
  });
  expect(between(captured, left.ipv4, right.ipv4, "udp")).toMatchObject([
    { ...ports(udp.port, udp.sender.localPort), packets: 2000, bytes: 2000 * 128 },
    { ...ports(9, unheard.sender.localPort), packets: 5, bytes: 5 * 36 },
  ]);
  // An error repeats the ports of what it is about; it has none itself.
  expect(between(captured, right.ipv4, left.ipv4, "icmp")).toMatchObject([{ ...ports(0, 0), packets: 5 }]);
  expect(between(captured, left.ipv6, right.ipv6, "tcp")).toMatchObject(
    tcp.client.connections.map(({ localPort }) => ports(tcp.port, localPort)),
  );
  // Only the first of three fragments has ports.
  expect(between(captured, left.ipv6, right.ipv6, "udp")).toMatchObject([
    { ...ports(large.port, large.sender.localPort), packets: 3 },
    { ...ports(0, 0), packets: 6 },
  ]);
  expect(between(captured, left.ipv6, right.ipv6, "icmpv6")).toMatchObject([{ packets: 12 }]);
});

test("a filter leaves out the rest, and ARP is named by its ethertype", async () => {
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [left, right] = await connect(a, b);
  await a.exec(["ip", "neigh", "del", right.ipv4, "dev", left.name]);
  await using all = await capture(a, "eth0");
  await using only = await capture(a, "eth0", ["icmp"]);
  await ping(a, { host: right.ipv4, count: 3 });
  expect((await all.stop()).other).toEqual({ "0x0806": 2 });
  expect(await only.stop()).toMatchObject({ other: {}, packets: 6 });
});
