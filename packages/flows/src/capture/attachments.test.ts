/** On the devices: beside the programs of others, with clsact where tcx is missing, and gone when we are. */
import { readdirSync, statSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import {
  bridge,
  connect,
  createNamespace,
  dropPackets,
  type Namespace,
  pair,
  requireKernel,
  route,
  run,
  start,
  tcpTraffic,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { attachType, tcxPrograms } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";
import { observe } from "../testing/observed.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

/** How many programs hang on eth0 of a namespace, both directions. */
function attached(namespace: Namespace, index: number): number {
  const libc = openLibc();
  const inside = openNamespace(libc, namespace.path);
  try {
    return inside.run(() =>
      [attachType.tcxIngress, attachType.tcxEgress].reduce(
        (sum, type) => sum + (tcxPrograms(libc, index, type)?.length ?? 0),
        0,
      ),
    );
  } finally {
    inside.close();
  }
}

for (const order of ["first", "last"] as const)
  test(`a foreign tcx program that comes ${order} and ours both see every packet`, async () => {
    await using net = await pair();
    const foreign = { direction: "ingress", order, probability: 0 } as const;
    // Whoever attaches later with "first" is before us.
    await using early = await dropPackets(net.server, "eth0", foreign);
    using observed = observe({ namespaces: [net.server.path] });
    await using late = await dropPackets(net.server, "eth0", foreign);
    await udpTraffic({
      sender: net.client,
      receivers: [net.server],
      host: net.right.ipv4,
      count: 25,
      sizeBytes: 10,
    });
    const [flow] = observed.flows(net.server.inode, { protocol: "udp" });
    expect(flow?.packets.sent).toBe(25);
    expect(await early.counters()).toEqual({ passed: 25, dropped: 0 });
    expect(await late.counters()).toEqual({ passed: 25, dropped: 0 });
  });

test("ours comes first, so a foreign program that ends the chain hides nothing", async () => {
  await using net = await pair();
  await using _ = await dropPackets(net.server, "eth0", {
    direction: "ingress",
    verdict: "pass",
    probability: 0,
  });
  using observed = observe({ namespaces: [net.server.path] });
  await udpTraffic({
    sender: net.client,
    receivers: [net.server],
    host: net.right.ipv4,
    count: 8,
    sizeBytes: 10,
  });
  expect(observed.flows(net.server.inode, { protocol: "udp" })[0]?.packets.sent).toBe(8);
});

test("closing detaches everything", async () => {
  await using net = await pair();
  const { index } = await net.server.link("eth0");
  {
    using _ = observe({ namespaces: [net.server.path] });
    expect(attached(net.server, index)).toBe(2);
  }
  expect(attached(net.server, index)).toBe(0);
});

test("clsact counts the same and leaves nothing behind but the filters of others", async () => {
  await using net = await pair();
  const tc = (...words: string[]): Promise<string> => net.server.exec(["tc", ...words]);
  {
    using observed = observe({ namespaces: [net.server.path], attach: "clsact" });
    expect(observed.features[0]?.detail).toMatch(/^clsact/);
    await tcpTraffic({
      client: net.client,
      server: net.server,
      host: net.right.ipv6,
      requestBytes: 5000,
      writeBytes: 100,
    });
    const [flow] = observed.flows(net.server.inode, { protocol: "tcp" });
    const { received, sent } = await net.server.link("eth0");
    expect(flow?.packets).toEqual({ sent: received.packets, received: sent.packets });
    expect(await tc("filter", "show", "dev", "eth0", "ingress")).toMatch(/x0tta6bl4:flows/);
  }
  expect(await tc("qdisc", "show", "dev", "eth0")).not.toMatch(/clsact/);

  await tc("qdisc", "add", "dev", "eth0", "clsact");
  await tc(
    "filter",
    "add",
    "dev",
    "eth0",
    "ingress",
    "prio",
    "7",
    "bpf",
    "da",
    "bytecode",
    "1,6 0 0 4294967295",
  );
  {
    using _ = observe({ namespaces: [net.server.path], attach: "clsact" });
  }
  const left = await tc("filter", "show", "dev", "eth0", "ingress");
  expect(left).toMatch(/pref 7 bpf/);
  expect(left).not.toMatch(/x0tta6bl4/);
});

for (const attach of ["tcx", "clsact"] as const)
  test(`after SIGKILL the next start finds a clean ${attach} and works`, async () => {
    await using net = await pair();
    const { index } = await net.server.link("eth0");
    const script = new URL("../testing/held.ts", import.meta.url).pathname;
    await using killed = await start([process.execPath, script, net.server.path, attach], /ready/);
    const filters = (): Promise<string> => net.server.exec(["tc", "filter", "show", "dev", "eth0", "egress"]);
    if (attach === "tcx") expect(attached(net.server, index)).toBe(2);
    else expect(await filters()).toMatch(/x0tta6bl4:flows/);
    await killed.stop("SIGKILL");
    // Filters outlive their process; links do not.
    if (attach === "clsact") expect(await filters()).toMatch(/x0tta6bl4:flows/);
    const observed = observe({ namespaces: [net.server.path], attach });
    await udpTraffic({
      sender: net.client,
      receivers: [net.server],
      host: net.right.ipv4,
      count: 6,
      sizeBytes: 10,
    });
    expect(observed.flows(net.server.inode, { protocol: "udp" })[0]?.packets.sent).toBe(6);
    if (attach === "clsact") expect((await filters()).match(/x0tta6bl4:flows/g)).toHaveLength(1);
    else expect(attached(net.server, index)).toBe(2);
    observed.capture.close();
    expect(await net.server.exec(["tc", "qdisc", "show", "dev", "eth0"])).not.toMatch(/clsact/);
  });

for (const selection of [{ excludeInterfaces: ["left*"] }, { interfaces: ["right0"] }])
  test(`each packet still counts once where a device is left out: ${JSON.stringify(selection)}`, async () => {
    await using left = await createNamespace();
    await using router = await createNamespace();
    await using right = await createNamespace();
    const ends = await route(left, router, right);
    using observed = observe({ namespaces: [router.path], ...selection });
    await udpTraffic({
      sender: left,
      receivers: [right],
      host: ends.right[0].ipv6,
      count: 12,
      sizeBytes: 10,
      echo: true,
    });
    const [flow] = observed.flows(router.inode, { protocol: "udp" });
    expect(flow?.packets).toEqual({ sent: 12, received: 12 });
    expect(flow?.place).toBe("forwarded");
    expect(observed.features[0]?.detail).toMatch(/left out/);
  });

for (const excluded of [["port1"], ["port1", "port2"]])
  test(`with ${excluded} of a bridge left out, what it routes is counted ${excluded.length === 1 ? "where it came" : "where it leaves"}`, async (context) => {
    await requireKernel(context, "bridge");
    await using a = await createNamespace();
    await using b = await createNamespace();
    await using router = await createNamespace();
    await using c = await createNamespace();
    const { hosts, own } = await bridge(router, [a, b]);
    const [, right] = await connect(router, c, { subnet: 2, names: ["right0", "eth0"] });
    await router.sysctl({ "net.ipv4.ip_forward": 1 });
    await b.exec(["ip", "route", "add", "default", "via", own.ipv4]);
    await c.exec(["ip", "route", "add", "default", "via", "10.77.2.1"]);
    using observed = observe({ namespaces: [router.path], excludeInterfaces: excluded });
    await udpTraffic({ sender: b, receivers: [c], host: right.ipv4, count: 7, sizeBytes: 10, echo: true });
    const [flow] = observed.flows(router.inode, { protocol: "udp", ip: hosts[1]?.ipv4 as string });
    expect(flow?.packets).toEqual({ sent: 7, received: 7 });
  });

test("what is left out is not seen", async () => {
  await using net = await pair();
  using observed = observe({ namespaces: [net.server.path], excludeInterfaces: ["eth0"] });
  const to = { sender: net.client, receivers: [net.server], count: 3, sizeBytes: 10 };
  await udpTraffic({ ...to, host: net.right.ipv4 });
  await udpTraffic({ ...to, sender: net.server, host: "127.0.0.1" });
  expect(observed.flows(net.server.inode).map((flow) => flow.place)).toEqual(["loopback"]);
});

test("a device is selected by the name that it has now", async () => {
  await using net = await pair();
  const { index } = await net.server.link("eth0");
  using observed = observe({ namespaces: [net.server.path], interfaces: ["lo", "lan*"] });
  const rename = async (from: string, to: string): Promise<void> => {
    await net.server.exec(["ip", "link", "set", from, "down"]);
    await net.server.exec(["ip", "link", "set", from, "name", to, "up"]);
    while (observed.capture.tend());
  };
  expect(attached(net.server, index)).toBe(0);
  expect(observed.capture.features()[0]).toMatchObject({
    state: "degraded",
    reason: expect.stringMatching(/nothing is called lan\*/),
  });
  await rename("eth0", "lan7");
  expect(attached(net.server, index)).toBe(2);
  expect(observed.capture.features()[0]?.state).toBe("on");
  await rename("lan7", "wan7");
  expect(attached(net.server, index)).toBe(0);
});

test("a pattern takes in namespaces as they come, and lets them go", async () => {
  await using first = await createNamespace();
  const late = `${first.name}-late`;
  using observed = observe({
    namespaces: [`${first.name}*`, `${first.name}-none*`],
    excludeNamespaces: ["*-never"],
  });
  expect(observed.features[0]?.reason).toBe(`nothing is called ${first.name}-none*`);
  await using _ = {
    [Symbol.asyncDispose]: async () => void (await run(["sh", "-c", `ip netns delete ${late}; :`])),
  };
  await run(["ip", "netns", "add", late]);
  await run(["ip", "netns", "exec", late, "ip", "link", "set", "lo", "up"]);
  while (observed.capture.tend());
  const { ino } = statSync(`/run/netns/${late}`);
  const isHeld = (): boolean => readdirSync("/proc/self/fd").some((fd) => inodeOf(fd) === ino);
  await udpTraffic({
    sender: { enter: (command) => ["nsenter", `--net=/run/netns/${late}`, "--", ...command] },
    receivers: [{ enter: (command) => ["nsenter", `--net=/run/netns/${late}`, "--", ...command] }],
    host: "127.0.0.1",
    count: 4,
    sizeBytes: 10,
  });
  expect(observed.flows(ino)[0]?.packets.sent).toBe(4);
  expect(isHeld()).toBe(true);
  await run(["ip", "netns", "delete", late]);
  while (observed.capture.tend());
  expect(isHeld()).toBe(false);
  expect(observed.flows(ino)[0]?.netns).toBe(ino);
});

function inodeOf(descriptor: string): number | undefined {
  // The folder's own descriptor is gone by now.
  return statSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false })?.ino;
}
