/** Every packet is counted, once: against tcpdump, the interface's own counters and the sockets' figures. */
import { beforeEach, expect, test, vi } from "vitest";
import {
  bridge,
  capture,
  connect,
  createNamespace,
  forwardPort,
  masquerade,
  type Namespace,
  ping,
  requireKernel,
  route,
  tcpTraffic,
  udpTraffic,
  vlan,
} from "../../../../test/lab/index.ts";
import type { Flow } from "../flow.ts";
import { captured, observe, oneWay } from "../testing/observed.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf"));

const total = (flows: readonly Flow[]): number =>
  flows.reduce((sum, flow) => sum + flow.packets.sent + flow.packets.received, 0);

/** Traffic of every kind, between two hosts. @returns the ports to which fragmented datagrams went. */
async function everything(
  client: Namespace,
  server: Namespace,
  ipv4: string,
  ipv6: string,
): Promise<number[]> {
  const fragmented: number[] = [];
  for (const host of [ipv4, ipv6]) {
    for (const [requestBytes, writeBytes] of [
      [50, 1],
      [20_000, 1000],
      [640_000, 64_000],
    ] as const)
      await tcpTraffic({ client, server, host, requestBytes, writeBytes, replyBytes: 3000 });
    await tcpTraffic({ client, server, host, requestBytes: 100, replyBytes: 100, close: "reset" });
    await udpTraffic({ sender: client, receivers: [server], host, count: 20, sizeBytes: 1, echo: true });
    const datagrams = { sender: client, receivers: [server], host, count: 5, sizeBytes: 9000 };
    fragmented.push((await udpTraffic(datagrams)).port);
    await udpTraffic({ sender: client, receivers: [], host, port: 9, count: 7, sizeBytes: 100 });
    await ping(client, { host, count: 5, sizeBytes: 56 });
  }
  return fragmented;
}

test("without offloads the flow table equals tcpdump, flow by flow, and the interface's counters", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [, right] = await connect(client, server, { offloads: false });
  using observed = observe({ namespaces: [server.path] });
  await using running = await capture(server, "eth0");
  const before = await server.link("eth0");
  const fragmented = await everything(client, server, right.ipv4, right.ipv6);
  const seen = await running.stop();
  const after = await server.link("eth0");

  const flows = observed.flows(server.inode);
  expect(oneWay(flows)).toEqual(captured(seen.flows, fragmented));
  const onWire = after.received.packets - before.received.packets + after.sent.packets - before.sent.packets;
  const belowIp = Object.values(seen.other).reduce((sum, count) => sum + count, 0);
  expect(total(flows)).toBe(onWire - belowIp);
  const bytes = flows.reduce((sum, flow) => sum + flow.bytes.sent + flow.bytes.received, 0);
  const wireBytes = after.received.bytes - before.received.bytes + after.sent.bytes - before.sent.bytes;
  expect(bytes).toBe(wireBytes - onWire * 14);
  expect(observed.capture.totals().lost).toEqual({ events: 0, packets: 0, bytes: 0, uncounted: 0 });
});

test("with offloads it equals what a receiver behind a link without them counts", async () => {
  await using client = await createNamespace();
  await using router = await createNamespace();
  await using server = await createNamespace();
  const left = await connect(client, router, { subnet: 1, names: ["eth0", "left0"], offloads: true });
  const right = await connect(server, router, { subnet: 2, names: ["eth0", "right0"], offloads: false });
  await router.sysctl({ "net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1 });
  for (const [host, gateway] of [left, right])
    await host.namespace.exec(
      ["ip", "-batch", "-"],
      `route add default via ${gateway.ipv4}\nroute add default via ${gateway.ipv6}`,
    );
  using observed = observe({ namespaces: [client.path, router.path] });
  await using running = await capture(server, "eth0");
  for (const host of [right[0].ipv4, right[0].ipv6])
    await tcpTraffic({
      client,
      server,
      host,
      requestBytes: 10_000_000,
      replyBytes: 2_000_000,
      writeBytes: 65_536,
    });
  const seen = captured((await running.stop()).flows);

  expect(oneWay(observed.flows(client.inode))).toEqual(seen);
  expect(oneWay(observed.flows(router.inode))).toEqual(seen);
  // The proof that offloads were on: the device saw far fewer buffers than there were packets.
  const events = observed.capture.totals().programs.find((program) => program.name === "egress")?.events ?? 0;
  expect(events).toBeLessThan(total(observed.flows(client.inode)));
});

test("forwarded packets count once, and say so", async () => {
  await using left = await createNamespace();
  await using router = await createNamespace();
  await using right = await createNamespace();
  const { right: end } = await route(left, router, right, { offloads: false });
  using observed = observe({ namespaces: [router.path] });
  await using running = await capture(router, "left0");
  const fragmented = await everything(left, right, end[0].ipv4, end[0].ipv6);
  const seen = await running.stop();
  const flows = observed.flows(router.inode);
  expect(oneWay(flows)).toEqual(captured(seen.flows, fragmented));
  for (const flow of flows.filter((one) => one.packets.received > 0)) expect(flow.place).toBe("forwarded");
  expect(flows.every((flow) => flow.process === null)).toBe(true);
});

test("bridged and flooded packets count once a port", async () => {
  await using middle = await createNamespace();
  await using one = await createNamespace();
  await using two = await createNamespace();
  await using three = await createNamespace();
  const net = await bridge(middle, [one, two, three], { offloads: false });
  using observed = observe({ namespaces: [middle.path] });
  const [, second] = net.hosts;
  await udpTraffic({ sender: one, receivers: [two], host: second!.ipv4, count: 30, sizeBytes: 10 });
  await tcpTraffic({ client: one, server: middle, host: net.own.ipv4, requestBytes: 5000 });
  await udpTraffic({
    sender: middle,
    receivers: [],
    host: "10.77.1.255",
    port: 4000,
    count: 4,
    sizeBytes: 10,
    lossy: true,
  }).catch(() => undefined);
  const flows = observed.flows(middle.inode);
  const udp = flows.find((flow) => flow.protocol === "udp" && flow.destination.ip === second!.ipv4);
  expect(udp?.packets).toEqual({ sent: 30, received: 0 });
  expect(udp?.place).toBe("forwarded");
  expect(udp?.interface).toBe("port1");
  const tcp = flows.filter((flow) => flow.protocol === "tcp");
  expect(tcp).toHaveLength(1);
  expect(tcp[0]?.interface).toBe("port1");
  expect(tcp[0]?.bytes.sent).toBeGreaterThan(5000);
  expect(tcp[0]?.bytes.sent).toBeLessThan(7000);
});

test("own multicast that comes back counts once", async () => {
  await using sender = await createNamespace();
  await using other = await createNamespace();
  const [left] = await connect(sender, other, { offloads: false });
  using observed = observe({ namespaces: [sender.path] });
  await udpTraffic({
    sender,
    receivers: [sender],
    host: "239.1.2.3",
    from: left.ipv4,
    port: 5353,
    count: 9,
    sizeBytes: 20,
  });
  const flow = observed
    .flows(sender.inode)
    .find((one) => one.destination.ip === "239.1.2.3" && one.protocol === "udp");
  expect(flow?.packets.sent).toBe(9);
  // The copies have no link header: read as frames they would be malformed.
  expect(observed.capture.totals().malformed).toBe(0);
});

test("loopback packets count once and name both processes", async () => {
  await using host = await createNamespace();
  using observed = observe({ namespaces: [host.path] });
  const { client, server, port } = await tcpTraffic({
    client: host,
    server: host,
    host: "127.0.0.1",
    requestBytes: 4000,
  });
  const lo = await host.link("lo");
  const flows = observed.flows(host.inode);
  expect(total(flows)).toBe(lo.sent.packets);
  const [flow] = flows.filter((one) => one.destination.port === port);
  expect(flow?.place).toBe("loopback");
  expect(flow?.process?.pid).toBe(client.pid);
  expect(flow?.peerProcess?.pid).toBe(server.pid);
});

test("a translated connection is one flow with both tuples, each packet counted once", async () => {
  await using left = await createNamespace();
  await using router = await createNamespace();
  await using right = await createNamespace();
  const ends = await route(left, router, right, { offloads: false });
  await masquerade(router, "right0");
  await forwardPort(router, {
    protocol: "tcp",
    in: "right0",
    port: 8080,
    to: { ip: ends.left[0].ipv4, port: 80 },
  });
  using observed = observe({ namespaces: [router.path] });
  await using outside = await capture(router, "right0");
  await using inside = await capture(router, "left0");
  await tcpTraffic({
    client: left,
    server: right,
    host: ends.right[0].ipv4,
    requestBytes: 3000,
    replyBytes: 3000,
  });
  const [wire, lan] = [await outside.stop(), await inside.stop()];
  const flows = observed.flows(router.inode);
  expect(total(flows)).toBe(wire.packets);
  const ours = { source: ends.left[0].ipv4, destination: ends.right[0].ipv4 };
  const translatedFlows = flows.filter((flow) => flow.source.ip === ours.source);
  expect(translatedFlows).toHaveLength(1);
  expect(flows.some((flow) => flow.source.ip === ends.right[1].ipv4)).toBe(false);
  const [flow] = translatedFlows;
  expect(flow).toMatchObject({
    destination: { ip: ours.destination },
    translated: { source: { ip: ends.right[1].ipv4 }, destination: { ip: ours.destination } },
    packets: {
      sent: lan.flows.find(({ source }) => source.ip === ours.source)?.packets,
      received: wire.flows.find(({ source }) => source.ip === ours.destination)?.packets,
    },
  });
  // Each half saw one FIN only; together they say that it is over.
  expect(flow?.state).toBe("ended");
  const started = observed.changes.filter(({ change }) => change === "start");
  expect(started.some(({ flow: { source } }) => source.ip === ends.right[1].ipv4)).toBe(false);
});

test("VLAN packets count once, on the lower device", async (context) => {
  await requireKernel(context, "vlan");
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [left, right] = await connect(client, server, { offloads: false });
  await vlan(left, 7, 9, 1);
  const tagged = await vlan(right, 7, 9, 2);
  await server.exec(["ethtool", "-K", "eth0", "rxvlan", "off", "txvlan", "off"]);
  await client.exec(["ethtool", "-K", "eth0", "txvlan", "off"]);
  using observed = observe({ namespaces: [server.path] });
  await tcpTraffic({ client, server, host: tagged.ipv4, requestBytes: 20_000, writeBytes: 1000 });
  const flows = observed.flows(server.inode, { protocol: "tcp" });
  expect(flows).toHaveLength(1);
  expect(flows[0]?.interface).toBe("eth0");
  expect(flows[0]?.bytes.sent).toBeGreaterThan(20_000);
  expect(flows[0]?.bytes.sent).toBeLessThan(30_000);
});

test("equal tuples in two namespaces stay two flows", async () => {
  await using one = await createNamespace();
  await using two = await createNamespace();
  using observed = observe({ namespaces: [one.path, two.path] });
  for (const [host, count] of [
    [one, 3],
    [two, 5],
  ] as const)
    await udpTraffic({ sender: host, receivers: [], host: "127.0.0.1", port: 4444, count, sizeBytes: 8 });
  const sentIn = (inode: number): number =>
    observed.flows(inode, { protocol: "udp", port: 4444 }).reduce((sum, flow) => sum + flow.packets.sent, 0);
  expect(sentIn(one.inode)).toBe(3);
  expect(sentIn(two.inode)).toBe(5);
});

test("an interface that appears later is observed", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  using observed = observe({ namespaces: [server.path] });
  const [, right] = await connect(client, server, { offloads: false });
  await vi.waitFor(() => {
    while (observed.capture.tend());
    expect(observed.capture.features()[0]?.detail).toMatch(/devices/);
  });
  await udpTraffic({ sender: client, receivers: [server], host: right.ipv6, count: 11, sizeBytes: 30 });
  const flow = observed
    .flows(server.inode, { protocol: "udp" })
    .find((one) => one.destination.ip === right.ipv6);
  expect(flow?.packets.sent).toBe(11);
});
