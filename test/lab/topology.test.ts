import { beforeEach, expect, test } from "vitest";
import { createNamespace, type Namespace } from "./namespace.ts";
import { run } from "./process.ts";
import { requireKernel } from "./requirements.ts";
import { bridge, connect, forwardPort, macvlan, masquerade, route, vlan } from "./topology.ts";
import { ping, tcpServer, tcpTraffic, udpTraffic } from "./traffic.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables"));

async function namespaces(stack: AsyncDisposableStack, count: number): Promise<readonly Namespace[]> {
  return Promise.all(Array.from({ length: count }, async () => stack.use(await createNamespace())));
}

test("a link carries the test's packets and no other", async () => {
  await using stack = new AsyncDisposableStack();
  const [a, b] = (await namespaces(stack, 2)) as [Namespace, Namespace];
  const [left, right] = await connect(a, b);
  expect(await a.addresses("eth0")).toEqual([left.ipv4, left.ipv6]);
  for (const host of [right.ipv4, right.ipv6])
    expect(await ping(a, { host, count: 5 })).toMatchObject({ received: 5 });
  // Joining a group makes the kernel report it at once, if it may.
  await udpTraffic({
    sender: a,
    receivers: [b],
    host: "239.7.7.7",
    from: left.ipv4,
    count: 3,
    sizeBytes: 10,
  });
  expect((await a.link("eth0")).sent.packets).toBe(13);
  expect((await a.link("eth0")).received.packets).toBe(10);
  expect((await b.link("eth0")).sent.packets).toBe(10);
});

test("every datagram to a closed port is answered", async () => {
  await using stack = new AsyncDisposableStack();
  const [a, b] = (await namespaces(stack, 2)) as [Namespace, Namespace];
  const [, right] = await connect(a, b);
  for (const host of [right.ipv4, right.ipv6])
    await udpTraffic({ sender: a, receivers: [], host, port: 9, count: 50, sizeBytes: 10 });
  expect((await a.link("eth0")).received.packets).toBe(100);
});

test("without offloads each segment is a packet, with them a buffer is many", async () => {
  const requestBytes = 2 ** 20;
  const largest: number[] = [];
  for (const offloads of [true, false]) {
    await using stack = new AsyncDisposableStack();
    const [a, b] = (await namespaces(stack, 2)) as [Namespace, Namespace];
    const [, right] = await connect(a, b, { offloads, mtu: 1400 });
    await tcpTraffic({ client: a, server: b, host: right.ipv4, requestBytes });
    const { sent, mtu } = await a.link("eth0");
    expect(mtu).toBe(1400);
    largest.push(sent.bytes / sent.packets);
  }
  expect(largest[0]).toBeGreaterThan(1414);
  expect(largest[1]).toBeLessThanOrEqual(1414);
});

test("a bridge forwards between its ports only, and floods multicast", async (context) => {
  await requireKernel(context, "bridge");
  await using stack = new AsyncDisposableStack();
  const [middle, a, b, c] = (await namespaces(stack, 4)) as [Namespace, Namespace, Namespace, Namespace];
  const { hosts, own, ports } = await bridge(middle, [a, b, c]);
  expect(await ping(a, { host: hosts[1]?.ipv4 as string, count: 4 })).toMatchObject({ received: 4 });
  expect((await c.link("eth0")).received.packets).toBe(0);
  expect((await middle.link(ports[1] as string)).sent.packets).toBe(4);
  const host = "10.77.1.255";
  const { receivers } = await udpTraffic({ sender: a, receivers: [b, c], host, count: 6, sizeBytes: 10 });
  expect(receivers.map((each) => each.received)).toEqual([6, 6]);
  expect((await c.link("eth0")).received.packets).toBe(6);
  expect(await ping(c, { host: own.ipv6, count: 2 })).toMatchObject({ received: 2 });
});

test("a router forwards, masquerades and forwards ports", async () => {
  await using stack = new AsyncDisposableStack();
  const [a, router, b] = (await namespaces(stack, 3)) as [Namespace, Namespace, Namespace];
  const { left, right } = await route(a, router, b);
  for (const host of [right[0].ipv4, right[0].ipv6])
    expect(await ping(a, { host, count: 2 })).toMatchObject({ received: 2 });
  expect((await router.link("right0")).sent.packets).toBe(4);
  await masquerade(router, "right0");
  await forwardPort(router, {
    protocol: "tcp",
    in: "left0",
    port: 80,
    to: { ip: right[0].ipv4, port: 8080 },
  });
  // The client dials the router; without the masquerade the server would see the client's own address.
  await b.exec(
    ["nft", "-f", "-"],
    "table ip t { chain c { type filter hook input priority 0; policy drop; ip saddr 10.77.2.2 accept; }; }",
  );
  await using server = await tcpServer(b, {
    host: right[0].ipv4,
    port: 8080,
    connections: 1,
    requestBytes: 1,
    replyBytes: 0,
    writeBytes: 1,
  });
  await run(["bash", "-ec", `exec 3<>/dev/tcp/${left[1].ipv4}/80; printf x >&3`], { places: [a] });
  expect((await server.result).connections).toMatchObject([{ receivedBytes: 1 }]);
});

test("a macvlan has its own hardware address above its parent", async (context) => {
  await requireKernel(context, "macvlan");
  await using stack = new AsyncDisposableStack();
  const [a, b] = (await namespaces(stack, 2)) as [Namespace, Namespace];
  const [left, right] = await connect(a, b);
  const above = await macvlan(left, "mac0", 3, 1);
  await b.exec(["ip", "address", "add", "10.77.3.2/24", "dev", "eth0"]);
  await b.exec(["ip", "neigh", "replace", above.ipv4, "lladdr", above.mac, "dev", "eth0"]);
  await a.exec(["ip", "neigh", "replace", "10.77.3.2", "lladdr", right.mac, "dev", "mac0"]);
  expect(await ping(a, { host: "10.77.3.2", count: 3 })).toMatchObject({ received: 3 });
  expect((await a.link("mac0")).sent.packets).toBe(3);
  expect((await a.link("eth0")).sent.packets).toBe(3);
});

test("a VLAN interface talks to its like", async (context) => {
  await requireKernel(context, "vlan");
  await using stack = new AsyncDisposableStack();
  const [a, b] = (await namespaces(stack, 2)) as [Namespace, Namespace];
  const [left, right] = await connect(a, b);
  await vlan(left, 7, 4, 1);
  const other = await vlan(right, 7, 4, 2);
  expect(await ping(a, { host: other.ipv4, count: 2 })).toMatchObject({ received: 2 });
});
