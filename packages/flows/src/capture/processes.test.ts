/** Who is behind a flow: read from the kernel, also where the process is gone, older, or behind a listener. */
import { once } from "node:events";
import { type AddressInfo, createServer, connect as dial } from "node:net";
import { beforeEach, expect, test, vi } from "vitest";
import {
  connect,
  createCgroup,
  createNamespace,
  ping,
  requireKernel,
  shortLivedConnection,
  tcpServer,
  tcpTraffic,
  udpTraffic,
} from "../../../../test/lab/index.ts";
import { openLibc } from "../kernel/libc.ts";
import { observe } from "../testing/observed.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "cgroup2"));

test("a connection names the process that opened it, its cgroup, and the listener's", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  await using cgroup = await createCgroup();
  const [, right] = await connect(client, server);
  using observed = observe({ namespaces: [client.path, server.path] });
  const traffic = await tcpTraffic({
    client: [client, cgroup],
    server,
    host: right.ipv4,
    requestBytes: 500,
    replyBytes: 500,
  });
  const [opened] = observed.flows(client.inode, { port: traffic.port });
  expect(opened?.process).toMatchObject({ pid: traffic.client.pid, comm: "node" });
  expect(opened?.process?.executable).toMatch(/node$/);
  expect(cgroup.path.endsWith(opened?.process?.cgroup ?? "nothing")).toBe(true);
  expect(opened?.direction).toBe("egress");
  expect(opened?.cookie).toMatch(/^[1-9]\d*$/);
  const [accepted] = observed.flows(server.inode, { port: traffic.port });
  expect(accepted?.process?.pid).toBe(traffic.server.pid);
  expect(accepted?.direction).toBe("ingress");
  expect(accepted?.cookie).toMatch(/^[1-9]\d*$/);
  expect(accepted?.cookie).not.toBe(opened?.cookie);
});

test("a process that lives 20 ms is still named", async () => {
  await using host = await createNamespace();
  using observed = observe({ namespaces: [host.path] });
  await using server = await tcpServer(host, {
    host: "127.0.0.1",
    port: 0,
    connections: 1,
    requestBytes: 0,
    replyBytes: 0,
    writeBytes: 1,
  });
  const gone = await shortLivedConnection(host, "127.0.0.1", server.ready.port);
  const [flow] = observed.flows(host.inode, { port: server.ready.port });
  expect(flow?.process?.pid).toBe(gone.pid);
  expect(flow?.process?.comm).toBe(gone.comm);
  expect(gone.executable.endsWith(flow?.process?.executable ?? "nothing")).toBe(true);
});

test("sockets older than the agent have owners", async () => {
  await using host = await createNamespace();
  // Listening and connected before anything of ours is attached.
  await using server = await tcpServer(host, {
    host: "127.0.0.1",
    port: 0,
    connections: 1,
    requestBytes: 10,
    replyBytes: 10,
    writeBytes: 10,
  });
  using observed = observe({ namespaces: [host.path] });
  await using _ = await tcpServer(host, {
    host: "127.0.0.1",
    port: 0,
    connections: 1,
    requestBytes: 0,
    replyBytes: 0,
    writeBytes: 1,
  });
  const traffic = await host.exec([
    "bash",
    "-c",
    `exec 3<>/dev/tcp/127.0.0.1/${server.ready.port}; printf 0123456789 >&3; head -c 10 <&3`,
  ]);
  expect(traffic.length).toBe(10);
  const [flow] = observed.flows(host.inode, { port: server.ready.port });
  expect(flow?.peerProcess?.pid).toBe(server.pid);
  expect(flow?.process?.comm).toBe("bash");
});

test("datagrams and echo requests name their sender", async () => {
  await using client = await createNamespace();
  await using server = await createNamespace();
  const [, right] = await connect(client, server);
  using observed = observe({ namespaces: [client.path, server.path] });
  const udp = await udpTraffic({
    sender: client,
    receivers: [server],
    host: right.ipv6,
    count: 3,
    sizeBytes: 10,
  });
  const [sent] = observed.flows(client.inode, { port: udp.port });
  expect(sent?.process?.pid).toBe(udp.sender.pid);
  const [received] = observed.flows(server.inode, { port: udp.port });
  expect(received?.process?.pid).toBe(udp.receivers[0]?.pid);
  await ping(client, { host: right.ipv4, count: 2, sizeBytes: 8 });
  const [echo] = observed.flows(client.inode, { protocol: "icmp" });
  expect(echo?.process?.comm).toMatch(/ping|node/);
  expect(echo?.icmp).toMatchObject({ type: 8, code: 0 });
  expect(echo?.packets).toEqual({ sent: 2, received: 2 });
});

test("the cookie is the socket's own", async () => {
  using observed = observe({});
  const server = createServer((socket) => socket.end("x"));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const socket = dial(port, "127.0.0.1");
  socket.resume();
  await once(socket, "connect");
  const cookie = socketCookie((socket as unknown as { _handle: { fd: number } })._handle.fd);
  await once(socket, "close");
  server.close();
  const flow = observed.capture.list({ limit: 10, port }).flows[0];
  expect(flow?.cookie).toBe(cookie);
});

test("a closed flow ends, with its last packets", async () => {
  await using host = await createNamespace();
  using observed = observe({ namespaces: [host.path] });
  observed.capture.follow(1, { limit: 1 }, false);
  const shape = {
    client: host,
    server: host,
    host: "127.0.0.1",
    requestBytes: 10,
    replyBytes: 10,
    port: 4545,
  } as const;
  await tcpTraffic(shape);
  await vi.waitFor(
    () => {
      observed.capture.read();
      expect(
        observed.changes.filter(({ change, flow }) => change === "end" && flow.destination.port === 4545),
      ).toHaveLength(1);
    },
    { timeout: 20_000, interval: 200 },
  );
  const [flow] = observed.flows(host.inode, { port: 4545 });
  expect(flow?.state).toBe("ended");
  expect(flow?.tcpFlags).toEqual(expect.arrayContaining(["FIN", "SYN", "ACK"]));
});

test("a port used again at once is a new flow, and the old one keeps its figures", async () => {
  using observed = observe({});
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.resume();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  let localPort = 0;
  for (const message of ["first", "the second"]) {
    const socket = dial({ port, host: "127.0.0.1", localPort });
    await once(socket, "connect");
    localPort = socket.localPort as number;
    await new Promise<void>((resolve) => socket.write(message, () => resolve()));
    // A reset leaves no TIME_WAIT that would keep the port.
    socket.resetAndDestroy();
    await once(socket, "close");
  }
  server.close();
  const flows = observed.capture
    .list({ limit: 10, port })
    .flows.filter((flow) => flow.source.port === localPort);
  expect(flows.map((flow) => flow.state)).toEqual(["ended", "ended"]);
  // SYN, ACK, data, RST: 60 + 52 + 52 + n + 52 or 40 bytes, whatever the options; the payloads differ by 5.
  expect((flows[0]?.bytes.sent ?? 0) - (flows[1]?.bytes.sent ?? 0)).toBe(5);
});

function socketCookie(fd: number): string {
  const value = new Uint8Array(8);
  const SOL_SOCKET = 1;
  const SO_COOKIE = 57;
  expect(openLibc().getSocketOption(fd, SOL_SOCKET, SO_COOKIE, value)).toBe(0);
  return new DataView(value.buffer).getBigUint64(0, true).toString();
}
