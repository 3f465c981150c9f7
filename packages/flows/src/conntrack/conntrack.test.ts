/** Against the kernel: the keys made of a translated connection's tuples are those under which its flows lie. */
import { systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import {
  connect,
  createNamespace,
  forwardPort,
  masquerade,
  type Namespace,
  ping,
  type Routed,
  requireKernel,
  route,
  run,
  tcpServer,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { formatAddress } from "../address.ts";
import { openKernelSide } from "../capture/kernel-side.ts";
import { openKernelFlows } from "../kernel/flow-table.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";
import { NLM_F_ACK, openNetlink } from "../kernel/netlink.ts";
import { captureDefaults } from "../testing/observed.ts";
import type { TranslatedConnection } from "./conntrack.ts";
import type { Tuple } from "./entry.ts";
import { KEY_WORDS } from "./key.ts";
import { type TranslationWatch, watchTranslations } from "./watch.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

const libc = openLibc();

interface Seen {
  readonly original: string;
  readonly reply: string;
  readonly keys: Uint32Array;
}

interface Watched extends Disposable {
  readonly watch: TranslationWatch;
  readonly seen: Seen[];
  /** Polls until `isEnough`; `nowMs` goes on by itself. */
  until(isEnough: () => boolean): Promise<void>;
  /** Which of the two keys of a connection have a flow in the kernel. */
  flowsOf(connection: Seen | undefined): boolean[];
}

function watched(namespace: Namespace, max = 1024): Watched {
  const kernel = openKernelSide(libc, { ...captureDefaults, namespaces: [namespace.path] });
  while (kernel.attachments.step());
  const place = openNamespace(libc, namespace.path);
  const seen: Seen[] = [];
  const watch = watchTranslations(libc, {
    namespaces: () => [{ number: 1, namespace: place }],
    max,
    onTranslated: ({ original, reply, keys }: TranslatedConnection) =>
      seen.push({ original: written(original), reply: written(reply), keys: keys.slice() }),
  });
  const flows = openKernelFlows(libc, kernel.maps, captureDefaults.maxFlows);
  return {
    watch,
    seen,
    async until(isEnough) {
      while (!isEnough()) {
        watch.poll(systemClock.nowMs());
        await new Promise(setImmediate);
      }
    },
    flowsOf: (connection) => [0, KEY_WORDS].map((at) => flows.find((connection as Seen).keys, at) >= 0),
    [Symbol.dispose]() {
      watch.close();
      place.close();
      flows.close();
      kernel.close();
    },
  };
}

function written({ addresses, ports, protocol }: Tuple): string {
  const [source, destination] = [addresses.subarray(0, 16), addresses.subarray(16)].map(formatAddress);
  return `${protocol} ${source} ${ports[0]} > ${destination} ${ports[1]}`;
}

/** IPCTNL_MSG_CT_DELETE without a tuple: the namespace forgets all connections. */
function endAll(namespace: Namespace): void {
  const inside = openNamespace(libc, namespace.path);
  const netlink = inside.run(() => openNetlink(libc, 12));
  expect(netlink.request(0x102, NLM_F_ACK, new Uint8Array(4))).toBe(0);
  netlink.close();
  inside.close();
}

interface RoutedNet extends Routed, AsyncDisposable {
  readonly a: Namespace;
  readonly router: Namespace;
  readonly b: Namespace;
}

async function routed(): Promise<RoutedNet> {
  const stack = new AsyncDisposableStack();
  const a = stack.use(await createNamespace());
  const router = stack.use(await createNamespace());
  const b = stack.use(await createNamespace());
  const ends = await route(a, router, b);
  return { a, router, b, ...ends, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

test.each(["ipv4", "ipv6"] as const)(
  "masqueraded datagrams over %s are two flows that find each other",
  async (ip) => {
    await using net = await routed();
    await masquerade(net.router, "right0");
    using watching = watched(net.router);
    await watching.until(() => watching.watch.feature().state === "on");
    const { sender, port } = await udpTraffic({
      sender: net.a,
      receivers: [net.b],
      host: net.right[0][ip],
      count: 3,
      sizeBytes: 10,
      echo: true,
    });
    await watching.until(() => watching.seen.length > 0);
    const [connection] = watching.seen;
    const host = net.right[0][ip];
    expect(connection?.original).toBe(`17 ${net.left[0][ip]} ${sender.localPort} > ${host} ${port}`);
    expect(connection?.reply).toBe(`17 ${host} ${port} > ${net.right[1][ip]} ${sender.localPort}`);
    expect(watching.flowsOf(connection)).toEqual([true, true]);
    const { translations } = watching.watch;
    const keys = (connection as Seen).keys;
    const translated = translations.find(keys, 0);
    expect(translations.keys.slice(translated, translated + KEY_WORDS)).toEqual(keys.slice(KEY_WORDS));
  },
);

test.each(["ipv4", "ipv6"] as const)("a masqueraded ping over %s", async (ip) => {
  await using net = await routed();
  await masquerade(net.router, "right0");
  using watching = watched(net.router);
  await watching.until(() => watching.watch.feature().state === "on");
  const { id } = await ping(net.a, { host: net.right[0][ip], count: 2 });
  await watching.until(() => watching.seen.length > 0);
  const protocol = ip === "ipv4" ? 1 : 58;
  expect(watching.seen[0]?.original).toBe(`${protocol} ${net.left[0][ip]} ${id} > ${net.right[0][ip]} ${id}`);
  expect(watching.flowsOf(watching.seen[0])).toEqual([true, true]);
});

test("a connection whose both ends are translated, known from the dump, and its end", async () => {
  await using net = await routed();
  await masquerade(net.router, "right0");
  const to = { ip: net.right[0].ipv4, port: 8080 };
  await forwardPort(net.router, { protocol: "tcp", in: "left0", port: 80, to });
  // Attached first, so that the flows are there; it asks only at its first poll.
  using watching = watched(net.router);
  await using server = await tcpServer(net.b, {
    host: net.right[0].ipv4,
    port: 8080,
    connections: 1,
    requestBytes: 1,
    replyBytes: 0,
    writeBytes: 1,
  });
  await run(["bash", "-ec", `exec 3<>/dev/tcp/${net.left[1].ipv4}/80; printf x >&3`], { places: [net.a] });
  await server.result;
  await watching.until(() => watching.seen.length > 0);
  const [connection] = watching.seen;
  expect(connection?.original).toMatch(/^6 10\.77\.1\.1 \d+ > 10\.77\.1\.2 80$/);
  expect(connection?.reply).toMatch(/^6 10\.77\.2\.1 8080 > 10\.77\.2\.2 \d+$/);
  expect(watching.flowsOf(connection)).toEqual([true, true]);

  const { translations } = watching.watch;
  const nowMs = systemClock.nowMs();
  await watching.until(() => translations.find((connection as Seen).keys, 0) >= 0);
  translations.expire(nowMs + 3_600_000);
  expect(translations.size).toBe(1);
  endAll(net.router);
  // The kernel does not tell the end of what is older than its first subscriber: the next reading does.
  watching.watch.poll(nowMs + 60_000);
  await watching.until(() => {
    translations.expire(nowMs + 3_600_000);
    return translations.size === 0;
  });
});

test.each([
  ["source", "snat to 10.77.2.2:7000-7100", "postrouting", /> 10\.77\.2\.2 70\d\d$/],
  ["destination", "dnat to 10.77.2.1:4000", "prerouting", /^17 10\.77\.2\.1 4000 > 10\.77\.1\.1 /],
])("a connection whose %s alone is translated", async (_, rule, hook, reply) => {
  await using net = await routed();
  const [device, priority] = hook === "postrouting" ? ["oifname right0", 100] : ["iifname left0", -100];
  await net.router.exec(
    ["nft", "-f", "-"],
    `table ip t { chain c { type nat hook ${hook} priority ${priority}; ${device} meta l4proto udp ${rule}; }; }`,
  );
  using watching = watched(net.router);
  await watching.until(() => watching.watch.feature().state === "on");
  const to = { sender: net.a, receivers: [], port: 4000, count: 1, sizeBytes: 10, lossy: true };
  await udpTraffic({ ...to, host: hook === "postrouting" ? net.right[0].ipv4 : net.left[1].ipv4 });
  await watching.until(() => watching.seen.length > 0);
  expect(watching.seen[0]?.reply).toMatch(reply);
  // It is answered by an ICMP error; the flow of the translated tuple is there since the datagram left under it.
  expect(watching.flowsOf(watching.seen[0])).toEqual([true, true]);
});

test("this host's own connections, translated as they leave, lie under the translated key", async () => {
  await using a = await createNamespace();
  await using b = await createNamespace();
  const [, right] = await connect(a, b);
  await a.exec(
    ["nft", "-f", "-"],
    `table ip t { chain c { type nat hook output priority -100; ip daddr 192.0.2.1 dnat to ${right.ipv4}; }; }`,
  );
  await a.exec(["ip", "route", "add", "192.0.2.1/32", "via", right.ipv4]);
  using watching = watched(a);
  await watching.until(() => watching.watch.feature().state === "on");
  await ping(a, { host: "192.0.2.1", count: 1 });
  await watching.until(() => watching.seen.length > 0);
  expect(watching.seen[0]?.original).toMatch(/> 192\.0\.2\.1 /);
  expect(watching.flowsOf(watching.seen[0])).toEqual([false, true]);
});

test("connections that are tracked but not translated do not reach us", async () => {
  await using net = await routed();
  await net.router.exec(
    ["nft", "-f", "-"],
    "table inet t { chain c { type filter hook forward priority 0; ct state new counter; }; }",
  );
  using watching = watched(net.router);
  await watching.until(() => watching.watch.feature().state === "on");
  const to = { sender: net.a, receivers: [net.b], host: net.right[0].ipv4, count: 1, sizeBytes: 10 };
  await udpTraffic(to);
  await masquerade(net.router, "right0");
  await udpTraffic(to);
  // News come in order: the second, translated one is the first that we see.
  await watching.until(() => watching.seen.length > 0);
  expect(watching.seen).toHaveLength(1);
  expect(watching.seen[0]?.reply).toMatch(/> 10\.77\.2\.2 /);
});

/** Opens 40,000 connections through the router, more than its socket has room for. @returns how many it tracks. */
async function flood(net: RoutedNet): Promise<number> {
  await net.b.exec(
    ["nft", "-f", "-"],
    "table ip q { chain c { type filter hook input priority 0; drop; }; }",
  );
  const script = `const socket = require("node:dgram").createSocket("udp4");
    (async () => {
      for (let port = 1; port <= 40000; port++)
        await new Promise((sent) => socket.send("x", port, "${net.right[0].ipv4}", sent));
      socket.close();
    })();`;
  await run([process.execPath, "-e", script], { places: [net.a] });
  return Number(await net.router.exec(["cat", "/proc/sys/net/netfilter/nf_conntrack_count"]));
}

test("a flood that overflows the socket is counted, and the table is read anew", async () => {
  await using net = await routed();
  await masquerade(net.router, "right0");
  using watching = watched(net.router, 65_536);
  await watching.until(() => watching.watch.feature().state === "on");
  const count = await flood(net);
  expect(count).toBeGreaterThan(39_000);
  const { watch } = watching;
  const atMs = systemClock.nowMs();
  for (let step = 0; watch.translations.size < count && step < 10_000; step++) watch.poll(atMs + step * 10);
  expect(watch.lost).toBeGreaterThan(0);
  expect(watch.translations.size).toBe(count);
});

test("a flood of connections that are not translated stays in the kernel", async () => {
  await using net = await routed();
  await net.router.exec(
    ["nft", "-f", "-"],
    "table inet t { chain c { type filter hook forward priority 0; ct state new counter; }; }",
  );
  using watching = watched(net.router);
  await watching.until(() => watching.watch.feature().state === "on");
  expect(await flood(net)).toBeGreaterThan(39_000);
  watching.watch.poll(systemClock.nowMs());
  expect(watching.watch.lost).toBe(0);
  expect(watching.seen).toEqual([]);
});
