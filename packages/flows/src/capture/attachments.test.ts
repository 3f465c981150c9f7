/** On the devices: beside the programs of others, with clsact where tcx is missing, and gone when we are. */
import { beforeEach, expect, test } from "vitest";
import {
  connect,
  createNamespace,
  dropPackets,
  type Interface,
  type Namespace,
  requireKernel,
  start,
  tcpTraffic,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { attachType, tcxPrograms } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";
import { observe } from "../testing/observed.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

async function pair(): Promise<{ client: Namespace; server: Namespace; right: Interface } & AsyncDisposable> {
  const client = await createNamespace();
  const server = await createNamespace();
  const [, right] = await connect(client, server, { offloads: false });
  return {
    client,
    server,
    right,
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

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
