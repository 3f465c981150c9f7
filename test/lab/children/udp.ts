/** One end of `udpTraffic`. */
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface UdpReport {
  readonly pid: number;
  readonly localPort: number;
  readonly sent: number;
  readonly sentBytes: number;
  readonly received: number;
  readonly receivedBytes: number;
}

export interface UdpReceiverContract extends ScriptContract {
  readonly argument: {
    readonly role: "receiver";
    /** The destination of what is sent: its own address, a multicast group, or broadcast. */
    readonly host: string;
    readonly port: number;
    readonly echo: boolean;
    readonly expected: number;
  };
  readonly ready: { readonly port: number };
  /** How many have come so far. */
  readonly event: number;
  readonly order: never;
  readonly result: UdpReport;
}

export interface UdpSenderContract extends ScriptContract {
  readonly argument: {
    readonly role: "sender";
    readonly host: string;
    readonly port: number;
    readonly count: number;
    readonly sizeBytes: number;
    readonly echo: boolean;
    readonly from: string | undefined;
    /** Whether orders tell what the slowest receiver has. */
    readonly acknowledged: boolean;
  };
  readonly ready: undefined;
  readonly event: never;
  readonly order: number;
  readonly result: UdpReport;
}

/** The kernel's default net.core.rmem_max; a buffer's bookkeeping at most doubles a datagram of a kilobyte. */
const receiveBufferBytes = 212_992;
const bookkeepingBytes = 1024;

const multicast = new BlockList();
multicast.addSubnet("224.0.0.0", 4, "ipv4");
multicast.addSubnet("ff00::", 8, "ipv6");
const isMulticast = (host: string): boolean => multicast.check(host, isIPv6(host) ? "ipv6" : "ipv4");
const isBroadcast = (host: string): boolean => host.endsWith(".255");

serveScript<UdpReceiverContract | UdpSenderContract>(async (argument, parent) => {
  const socket = createSocket({
    type: isIPv6(argument.host) ? "udp6" : "udp4",
    recvBufferSize: receiveBufferBytes,
    reuseAddr: isMulticast(argument.host),
  });
  const traffic = { sent: 0, sentBytes: 0, received: 0, receivedBytes: 0 };
  const arrived = Promise.withResolvers<void>();
  const send = (size: number, port: number, host: string): Promise<void> =>
    new Promise((resolve, reject) => {
      socket.send(Buffer.alloc(size, "x"), port, host, (error) => {
        if (error) return reject(error);
        traffic.sent++;
        traffic.sentBytes += size;
        resolve();
      });
    });
  const expected = argument.role === "receiver" ? argument.expected : argument.echo ? argument.count : 0;
  const echoes: Promise<void>[] = [];
  socket.on("message", (data, from) => {
    traffic.received++;
    traffic.receivedBytes += data.length;
    if (argument.role === "receiver") {
      if (argument.echo) echoes.push(send(data.length, from.port, from.address));
      parent.emit(traffic.received);
    }
    if (traffic.received === expected) arrived.resolve();
  });
  if (expected === 0) arrived.resolve();
  const group = isMulticast(argument.host) || isBroadcast(argument.host);
  if (argument.role === "receiver") {
    await once(socket.bind(argument.port, group ? undefined : argument.host), "listening");
    // On every interface: there is no multicast route that would choose one.
    if (isMulticast(argument.host))
      for (const each of interfaces(argument.host)) socket.addMembership(argument.host, each.handle);
    parent.ready({ port: socket.address().port });
    await Promise.race([arrived.promise, parent.finished.then(() => drained(socket))]);
    await Promise.all(echoes);
  } else {
    await once(socket.bind(0, argument.from), "listening");
    if (isBroadcast(argument.host)) socket.setBroadcast(true);
    if (isMulticast(argument.host))
      for (const { address, handle } of interfaces(argument.host))
        if (address === argument.from) socket.setMulticastInterface(handle);
    parent.ready(undefined);
    const { host, port, count, sizeBytes, acknowledged } = argument;
    const window = Math.max(1, Math.floor(receiveBufferBytes / (2 * sizeBytes + bookkeepingBytes)));
    let delivered = 0;
    let wake = (): void => {};
    parent.on((order) => {
      delivered = order;
      wake();
    });
    socket.on("message", () => wake());
    // Echoes wait in the sender's own buffer.
    const done = (): number => (argument.echo ? Math.min(delivered, traffic.received) : delivered);
    while (traffic.sent < count) {
      while (acknowledged && traffic.sent - done() >= window)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      await send(sizeBytes, port, host);
    }
    await arrived.promise;
  }
  const { port } = socket.address();
  socket.close();
  return { pid: process.pid, localPort: port, ...traffic };
});

/** The addresses of this namespace's interfaces, and how `dgram` names their interface for multicast. */
function interfaces(group: string): { readonly address: string; readonly handle: string }[] {
  const family = isIPv6(group) ? "IPv6" : "IPv4";
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter((each) => each.family === family && !each.internal)
      .map(({ address }) => ({ address, handle: family === "IPv6" ? `::%${name}` : address })),
  );
}

/** Settles when the socket had nothing to read in several turns of the event loop. */
async function drained(socket: Socket): Promise<void> {
  let quietTurns = 0;
  socket.on("message", () => {
    quietTurns = 0;
  });
  while (quietTurns++ < 10) await new Promise((resolve) => setImmediate(resolve));
}
