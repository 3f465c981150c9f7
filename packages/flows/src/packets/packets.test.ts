/** A capture's file against what tcpdump captured at the same place, read by tshark. */
import { createReadStream } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import {
  capture,
  connect,
  createNamespace,
  masquerade,
  type Namespace,
  pair,
  ping,
  readCapture,
  requireKernel,
  route,
  run,
  tcpServer,
  tcpTraffic,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { formatAddress } from "../address.ts";
import { compileFilter } from "../filter.ts";
import { flowQuerySchema } from "../flow.ts";
import { attachType, tcxPrograms } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";
import { protocolName } from "../protocols.ts";
import { readCapture as readOurs } from "../replay/capture.ts";
import { decodePacket } from "../replay/packet.ts";
import { partiesOfFragments } from "../replay/parties.ts";
import { ethernet } from "../testing/frames.ts";
import { observe } from "../testing/observed.ts";
import { sendFrames } from "../testing/raw-frames.ts";
import { mixedTraffic } from "../testing/traffic.ts";
import { readBlocks } from "./blocks.ts";
import { type PacketsOptions, packetsQuerySchema } from "./contract.ts";
import { openPackets, type Packets } from "./packets.ts";
import { blockType, droppedOf } from "./pcapng.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

const libc = openLibc();

interface Running {
  readonly packets: Packets;
  /** Ends it. @returns the path of its file */
  file(): Promise<string>;
}

/** A capture in one namespace, polled all the time unless it is to overflow. */
function start(
  namespace: Namespace,
  query: Readonly<Record<string, string>> = {},
  options: Partial<PacketsOptions> & { readonly isPolled?: boolean } = {},
): Running {
  const { isPolled = true, ...others } = options;
  const packets = openPackets(
    libc,
    {
      query: packetsQuerySchema.parse(query),
      attach: "auto",
      interfaces: [],
      excludeInterfaces: [],
      namespaces: [namespace.path],
      excludeNamespaces: [],
      ...others,
    },
    systemClock,
  );
  const chunks: Uint8Array[] = [packets.header];
  const timer = setInterval(() => isPolled && chunks.push(packets.poll()), 5);
  let isOpen = true;
  const close = (): void => {
    clearInterval(timer);
    if (isOpen) chunks.push(packets.close());
    isOpen = false;
  };
  onTestFinished(close);
  return {
    packets,
    async file() {
      close();
      const folder = await mkdtemp(join(tmpdir(), "x0-packets-"));
      onTestFinished(() => rm(folder, { recursive: true }));
      const path = join(folder, "capture.pcapng");
      await writeFile(path, chunks);
      return path;
    },
  };
}

/** Columns of tshark, a row a packet. */
async function tshark(file: string, fields: readonly string[], filter = ""): Promise<string[][]> {
  const { stdout } = await run([
    "tshark",
    "-n",
    ...["-r", file, "-Y", filter, "-T", "fields", "-E", "occurrence=f"],
    ...fields.flatMap((field) => ["-e", field]),
  ]);
  return stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split("\t"));
}

/** Packets that the file's statistics say were lost. */
async function lostOf(file: string): Promise<number> {
  const last = new Map<number, number>();
  for await (const { type, bytes } of readBlocks(createReadStream(file)))
    if (type === blockType.interfaceStatistics) last.set(bytes.readUInt32LE(8), droppedOf(bytes));
  return [...last.values()].reduce((sum, lost) => sum + lost, 0);
}

const hex = (frame: Uint8Array): string => Buffer.from(frame).toString("hex");

/** All frames of a file, in order. */
async function framesOf(file: string): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  for await (const { data } of readOurs(file)) frames.push(new Uint8Array(data));
  return frames;
}

test("the packets of a device are those that tcpdump captures there, to the byte", async () => {
  await using net = await pair();
  const running = start(net.server, { snap: "2048" });
  await using tcpdump = await capture(net.server, "eth0");
  const { client, server, right } = net;
  // Below a segment: what is one buffer at our hook would be several packets at tcpdump's.
  await tcpTraffic({
    client,
    server,
    host: right.ipv6,
    requestBytes: 20_000,
    replyBytes: 1000,
    writeBytes: 1000,
  });
  await udpTraffic({ sender: client, receivers: [server], host: right.ipv4, count: 20, sizeBytes: 5000 });
  await ping(client, { host: right.ipv4, count: 3 });
  const theirs = await tcpdump.stop();
  const file = await running.file();
  const ofDevice = join(file, "../eth0.pcapng");
  // The agent's own namespace is captured as well.
  const ofLab = '(ip.addr == 10.77.0.0/16 || ipv6.addr == fd77::/32) && frame.interface_name == "eth0"';
  await run(["tshark", "-r", file, "-Y", ofLab, "-w", ofDevice]);
  const ours = await readCapture(ofDevice);
  expect(theirs.packets).toBeGreaterThan(100);
  expect(await lostOf(file)).toBe(0);
  expect(ours).toEqual(theirs);
  const bytes = async (path: string): Promise<string> =>
    (
      await run([
        "tshark",
        "-r",
        path,
        "-T",
        "fields",
        "-e",
        "frame.len",
        "-e",
        "frame.cap_len",
        "-e",
        "tcp.payload",
        "-e",
        "udp.checksum",
      ])
    ).stdout;
  expect((await bytes(ofDevice)).split("\n").sort()).toEqual((await bytes(tcpdump.file)).split("\n").sort());
  // Times are those of the wall.
  const times = (await tshark(file, ["frame.time_epoch"])).map(([time]) => Number(time) * 1000);
  expect(Math.abs(Math.max(...times) - Date.now())).toBeLessThan(60_000);
});

test("comments name the processes at both ends, and the verdict", async () => {
  await using net = await pair();
  using observed = observe({ namespaces: [net.server.path] });
  const running = start(net.server, {}, { flows: observed.capture.maps });
  const { client, server, right } = net;
  const to = { client, server, host: right.ipv4, requestBytes: 100, replyBytes: 100 };
  const remote = await tcpTraffic(to);
  const local = await tcpTraffic({ ...to, client: server, host: "127.0.0.1" });
  const file = await running.file();
  const comments = async (port: number, from: number): Promise<Set<string>> =>
    new Set((await tshark(file, ["frame.comment"], `tcp.srcport == ${from} && tcp.port == ${port}`)).flat());
  const name = (pid: number): string => `node (pid ${pid}`;
  const [fromServer] = [...(await comments(remote.port, remote.port))];
  expect(fromServer).toContain(`from ${name(remote.server.pid)}`);
  expect(fromServer).toMatch(/; forwarded$/);
  expect(fromServer).not.toContain(" to ");
  const [both] = [...(await comments(local.port, local.port))];
  expect(both).toContain(`from ${name(local.server.pid)}`);
  expect(both).toContain(`to ${name(local.client.pid)}`);
});

test("filters take what they name and nothing else", async () => {
  await using net = await pair();
  using observed = observe({ namespaces: [net.server.path] });
  const { client, server, right } = net;
  const flows = observed.capture.maps;
  const all = start(server, {}, { flows });
  const udp = start(server, { protocol: "udp", port: "9999" }, { flows });
  const six = start(server, { ip: "fd77::/32" }, { flows });
  const shortSix = start(server, { ip: "fd00::/8" }, { flows });
  const host = start(server, { ip: right.ipv4, port: "9999", protocol: "udp" }, { flows });
  const to = { sender: client, receivers: [server], count: 5, sizeBytes: 10 };
  await udpTraffic({ ...to, host: right.ipv4, port: 9999 });
  await udpTraffic({ ...to, host: right.ipv6, port: 9999 });
  await udpTraffic({ ...to, host: right.ipv4, port: 9998 });
  await tcpTraffic({ client, server, host: right.ipv4, requestBytes: 100 });
  await ping(client, { host: right.ipv4, count: 2 });
  const ofProcess = start(server, { process: "nobody-is-called-so" }, { flows });
  await tcpTraffic({ client, server, host: right.ipv4, requestBytes: 100 });
  const count = async (running: Running): Promise<number> => (await framesOf(await running.file())).length;
  expect(await count(udp)).toBe(10);
  expect(await count(six)).toBe(5);
  expect(await count(shortSix)).toBe(5);
  expect(await count(host)).toBe(5);
  expect(await count(ofProcess)).toBe(0);
  expect(await count(all)).toBeGreaterThan(30);
});

test("the kernel's filter takes what the same filter takes of the file, for packets of every kind", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  // A name that the agent's own namespace does not have.
  await connect(client, server, { names: ["eth0", "probe0"], mtu: 9000 });
  const only = { interfaces: ["probe0"] };
  const snap = { snap: "16384" };
  const all = start(server, snap, only);
  const queries: Record<string, string>[] = [
    { protocol: "tcp" },
    { protocol: "icmpv6" },
    { protocol: "132" },
    { port: "443" },
    { port: "53", protocol: "udp" },
    { ip: "10.0.0.0/25" },
    { ip: "2001:db8::/48" },
    { ip: "::/0" },
    { ip: "0.0.0.0/0" },
    { ip: "2001:db8:1::1", protocol: "udp", port: "8080" },
  ];
  const captures = queries.map((query) => start(server, { ...snap, ...query }, only));
  const sent = mixedTraffic(42, 600).map(({ packet, vlans }) => ethernet(packet, { vlans }));
  for (let at = 0; at < sent.length; at += 200) {
    await sendFrames(client, "eth0", sent.slice(at, at + 200));
    // Every ring is read before it is full.
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const everything = await framesOf(await all.file());
  expect(everything.map(hex)).toEqual(sent.map(hex));
  for (const [index, query] of queries.entries()) {
    const matches = compileFilter(flowQuerySchema.parse(query), 0);
    const partiesOf = partiesOfFragments();
    const expected = everything.filter((frame) => {
      const packet = decodePacket(1, frame, frame.length);
      if (packet === undefined) return false;
      const { sourcePort, destinationPort, protocol, icmp } = partiesOf(packet);
      const time = new Date(0).toISOString();
      return matches({
        source: { ip: formatAddress(packet.source), port: icmp === null ? sourcePort : 0 },
        destination: { ip: formatAddress(packet.destination), port: icmp === null ? destinationPort : 0 },
        protocol: protocolName(protocol),
        start: time,
        end: time,
        process: null,
        peerProcess: null,
      });
    });
    const taken = await framesOf(await (captures[index] as Running).file());
    expect(taken.map(hex), JSON.stringify(query)).toEqual(expected.map(hex));
    expect(expected.length).toBeGreaterThan(10);
  }
});

test("a process's packets, both ways, and nobody else's", async () => {
  await using net = await pair();
  const { client, server } = net;
  using observed = observe({ namespaces: [server.path] });
  const running = start(server, { process: "bash", ip: "10.77.1.0/24" }, { flows: observed.capture.maps });
  const host = (await client.addresses("eth0"))[0] as string;
  const shape = { host, port: 0, connections: 1, requestBytes: 1, replyBytes: 10, writeBytes: 100 };
  await using listening = await tcpServer(client, shape);
  const { port } = listening.ready;
  await run(["bash", "-ec", `exec 3<>/dev/tcp/${host}/${port}; printf x >&3; read -u 3 -N 10`], {
    places: [server],
  });
  await listening.result;
  await udpTraffic({ sender: client, receivers: [server], host: net.right.ipv4, count: 5, sizeBytes: 10 });
  const rows = await tshark(await running.file(), ["tcp.port", "frame.comment", "ip.src"]);
  expect(rows.length).toBeGreaterThan(6);
  expect(new Set(rows.map(([, , source]) => source))).toEqual(new Set([host, net.right.ipv4]));
  for (const [, comment] of rows) expect(comment).toMatch(/(from|to) bash \(pid \d+/);
});

test("every drop of a flood is taken or counted as lost", async () => {
  await using net = await pair();
  const running = start(net.server, { on_drop: "true", protocol: "udp" }, { isPolled: false });
  const count = 30_000;
  const to = { sender: net.client, receivers: [], port: 4242, sizeBytes: 1200, lossy: true };
  await udpTraffic({ ...to, host: net.right.ipv4, count });
  const file = await running.file();
  const { packets } = await readCapture(file);
  expect(packets).toBeLessThan(count);
  expect(packets + (await lostOf(file))).toBeGreaterThanOrEqual(count);
});

test("packets of a device without a link header begin with their IP header", async () => {
  await using host = await createNamespace();
  await host.exec([
    "sh",
    "-ec",
    `ip tuntap add dev tun0 mode tun
    ip address add 10.99.0.1/24 dev tun0
    ip link set tun0 up`,
  ]);
  using observed = observe({ namespaces: [host.path] });
  const running = start(host, { protocol: "udp", ip: "10.99.0.0/24" }, { flows: observed.capture.maps });
  const to = {
    sender: host,
    receivers: [],
    host: "10.99.0.7",
    port: 9,
    count: 4,
    sizeBytes: 10,
    lossy: true,
  };
  await udpTraffic(to);
  const fields = ["frame.interface_name", "frame.protocols", "ip.dst", "frame.len", "frame.comment"];
  const rows = await tshark(await running.file(), fields);
  expect(rows.map((row) => row.slice(0, 4))).toEqual(
    Array(4).fill(["tun0", "raw:ip:udp:data", "10.99.0.7", "38"]),
  );
  expect(rows[0]?.[4]).toMatch(/^from node \(pid \d+.*\); forwarded$/);
});

test("a router's devices show both sides of a translated packet, each on its own interface", async () => {
  await using a = await createNamespace();
  await using router = await createNamespace();
  await using b = await createNamespace();
  const { right } = await route(a, router, b);
  await masquerade(router, "right0");
  const running = start(router, { protocol: "icmp" });
  await ping(a, { host: right[0].ipv4, count: 1 });
  const rows = await tshark(await running.file(), [
    "frame.interface_name",
    "frame.packet_flags_direction",
    "ip.src",
  ]);
  expect(rows.map(([name, direction, source]) => [name, Number(direction), source])).toEqual([
    ["left0", 1, "10.77.1.1"],
    ["right0", 2, "10.77.2.2"],
    ["right0", 1, "10.77.2.1"],
    ["left0", 2, "10.77.2.1"],
  ]);
});

test("--on-drop takes the packets that the kernel drops, with its reason", async () => {
  await using net = await pair();
  const running = start(net.server, { on_drop: "true", protocol: "udp" });
  const to = { sender: net.client, receivers: [], port: 4242, count: 7, sizeBytes: 33, lossy: true };
  await udpTraffic({ ...to, host: net.right.ipv4 });
  await udpTraffic({ ...to, host: net.right.ipv6 });
  const rows = await tshark(await running.file(), [
    "frame.comment",
    "udp.dstport",
    "udp.length",
    "frame.interface_name",
  ]);
  expect(rows).toEqual(Array(14).fill(["dropped: NO_SOCKET", "4242", "41", "eth0"]));
});

test("what finds no room in the ring is counted, in the file's statistics too", async () => {
  await using net = await pair();
  const running = start(net.server, { ip: net.right.ipv4, snap: "2048" }, { isPolled: false });
  const count = 20_000;
  const to = { sender: net.client, receivers: [], port: 4242, sizeBytes: 1200, lossy: true };
  await udpTraffic({ ...to, host: net.right.ipv4, count });
  const file = await running.file();
  const { packets } = await readCapture(file);
  expect(packets).toBeGreaterThan(1000);
  expect(packets).toBeLessThan(2 * count);
  const dropped = await lostOf(file);
  // Each is answered by an ICMP error.
  const { received, sent } = await net.server.link("eth0");
  expect(packets + dropped).toBe(received.packets + sent.packets);
});

test("the file is one that --replay reads", async () => {
  await using net = await pair();
  const running = start(net.server, { ip: net.right.ipv4 });
  await udpTraffic({
    sender: net.client,
    receivers: [net.server],
    host: net.right.ipv4,
    count: 9,
    sizeBytes: 10,
  });
  const seen: (string | undefined)[] = [];
  for await (const packet of readOurs(await running.file())) seen.push(packet.interfaceName);
  expect(seen).toEqual(Array(9).fill("eth0"));
});

for (const attach of ["tcx", "clsact"] as const)
  test(`${attach}: beside the flows' programs, and gone at the end`, async () => {
    await using net = await pair();
    const { index } = await net.server.link("eth0");
    using observed = observe({ namespaces: [net.server.path], attach });
    const running = start(net.server, { ip: net.right.ipv4 }, { attach, flows: observed.capture.maps });
    const inside = openNamespace(libc, net.server.path);
    const attached = async (): Promise<number> =>
      attach === "tcx"
        ? inside.run(() => tcxPrograms(libc, index, attachType.tcxIngress)?.length ?? 0)
        : ((await net.server.exec(["tc", "filter", "show", "dev", "eth0", "ingress"])).match(/x0tta6bl4:/g)
            ?.length ?? 0);
    expect(await attached()).toBe(2);
    await udpTraffic({
      sender: net.client,
      receivers: [net.server],
      host: net.right.ipv4,
      count: 9,
      sizeBytes: 10,
    });
    expect((await readCapture(await running.file())).packets).toBe(9);
    expect(await attached()).toBe(1);
    expect(observed.flows(net.server.inode)[0]?.packets.sent).toBe(9);
    inside.close();
  });
