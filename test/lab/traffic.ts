/**
 * Traffic of known size through real sockets, each end a process of its own in its namespace. What returns is
 * what each end sent and received, so that a test compares the kernel's figures with the sockets' own.
 */
import type { PingContract, PingOptions, PingReport } from "./children/ping.ts";
import type { TcpClientContract, TcpReport, TcpServerContract } from "./children/tcp.ts";
import type { UdpReceiverContract, UdpReport, UdpSenderContract } from "./children/udp.ts";
import { type Places, run, type Script, startScript } from "./process.ts";

const child = (name: string): URL => new URL(`./children/${name}.ts`, import.meta.url);

export interface TcpOptions {
  /** Its namespace, and a cgroup if it matters; as for the server. */
  readonly client: Places;
  readonly server: Places;
  /** The server's address. */
  readonly host: string;
  /** Default: one that the kernel picks. */
  readonly port?: number;
  /** One after the other; default 1. */
  readonly connections?: number;
  /** Of each connection, from the client. The reply begins when all of it has come. */
  readonly requestBytes: number;
  readonly replyBytes?: number;
  /** Of each write(2); default 64 KiB. Nagle's algorithm is off. */
  readonly writeBytes?: number;
  /** How the client ends each connection; a reset needs a reply to know that all had come. */
  readonly close?: "graceful" | "reset";
}

export interface TcpTraffic {
  readonly port: number;
  readonly client: TcpReport;
  readonly server: TcpReport;
}

/** Runs TCP connections between two places to their end on both sides, the last acknowledgement included. */
export async function tcpTraffic(options: TcpOptions): Promise<TcpTraffic> {
  const { connections = 1, requestBytes, replyBytes = 0, writeBytes = 65536, close = "graceful" } = options;
  if (close === "reset" && replyBytes === 0) throw new RangeError("a reset needs replyBytes above 0");
  const shape = { connections, requestBytes, replyBytes, writeBytes };
  await using server = await tcpServer(options.server, {
    ...shape,
    host: options.host,
    port: options.port ?? 0,
  });
  const { port } = server.ready;
  await using client = await startScript<TcpClientContract>(
    child("tcp"),
    { role: "client", host: options.host, port, close, ...shape },
    { places: options.client },
  );
  const [ofClient, ofServer] = await Promise.all([client.result, server.result]);
  await Promise.all([options.client, options.server].map((places) => lastAcknowledged(places, port)));
  return { port, client: ofClient, server: ofServer };
}

/** The sockets are closed before the kernel has sent their last packets: those would be missing in the counters. */
async function lastAcknowledged(places: Places, port: number): Promise<void> {
  const open = [
    "ss",
    "-Htan",
    "state",
    "connected",
    "exclude",
    "time-wait",
    `( sport = :${port} or dport = :${port} )`,
  ];
  while ((await run(open, { places })).stdout !== "");
}

/** A listener that ends after its connections, for clients that are not ours. */
export function tcpServer(
  places: Places,
  argument: Omit<TcpServerContract["argument"], "role">,
): Promise<Script<TcpServerContract>> {
  return startScript<TcpServerContract>(child("tcp"), { role: "server", ...argument }, { places });
}

export interface UdpOptions {
  readonly sender: Places;
  /** One for unicast; as many as listen for multicast and broadcast; none for a closed port. */
  readonly receivers: readonly Places[];
  /** Destination: unicast, multicast or broadcast. */
  readonly host: string;
  /** Default: one that the kernel picks; needed without a receiver. */
  readonly port?: number;
  readonly count: number;
  /** Payload of each. */
  readonly sizeBytes: number;
  /** Whether each receiver sends each datagram back; default false. */
  readonly echo?: boolean;
  /** The address of the sending interface, for multicast. */
  readonly from?: string;
  /**
   * Whether datagrams may be lost, also where a receive buffer overflows: then nobody waits for them.
   * Default false.
   */
  readonly lossy?: boolean;
}

export interface UdpTraffic {
  readonly port: number;
  readonly sender: UdpReport;
  readonly receivers: readonly UdpReport[];
}

/** Sends datagrams, never more in flight than a receive buffer holds. */
export async function udpTraffic(options: UdpOptions): Promise<UdpTraffic> {
  const { host, count, sizeBytes, echo = false, lossy = false, from } = options;
  await using open = new AsyncDisposableStack();
  const receivers: Script<UdpReceiverContract>[] = [];
  const seen = options.receivers.map(() => 0);
  let acknowledge = (): void => {};
  let port = options.port ?? 0;
  for (const [index, places] of options.receivers.entries()) {
    const expected = lossy ? Number.POSITIVE_INFINITY : count;
    const argument = { role: "receiver" as const, host, port, echo, expected };
    const receiver = open.use(await startScript<UdpReceiverContract>(child("udp"), argument, { places }));
    port = receiver.ready.port;
    receiver.on((received) => {
      seen[index] = received;
      acknowledge();
    });
    receivers.push(receiver);
  }
  const acknowledged = !lossy && receivers.length > 0;
  const argument = { role: "sender" as const, host, port, count, sizeBytes, echo, from, acknowledged };
  const sender = open.use(
    await startScript<UdpSenderContract>(child("udp"), argument, { places: options.sender }),
  );
  acknowledge = () => sender.order(Math.min(...seen));
  acknowledge();
  const sent = await sender.result;
  const reports = await Promise.all(receivers.map((each) => (lossy ? each.finish() : each.result)));
  return { port, sender: sent, receivers: reports };
}

/** Sends ICMP or ICMPv6 echo requests one after the other, each awaiting its reply. Needs root. */
export async function ping(places: Places, options: PingOptions): Promise<PingReport> {
  await using script = await startScript<PingContract>(child("ping"), options, { places });
  return await script.result;
}

export interface ShortLived {
  readonly pid: number;
  readonly comm: string;
  readonly executable: string;
}

/** One connection by a process that lives for about 20 ms and writes one byte. */
export async function shortLivedConnection(places: Places, host: string, port: number): Promise<ShortLived> {
  // Bash connects by itself; it then waits for a reply, 20 ms at most.
  const script = `read -r comm </proc/$$/comm; echo "$$ $comm"; readlink /proc/$$/exe
exec 3<>/dev/tcp/${host}/${port}; printf x >&3; read -r -t 0.02 -u 3 || true`;
  const { stdout } = await run(["bash", "-ec", script], { places });
  const [, pid, comm = "", executable = ""] = /^(\d+) (.*)\n(.*)\n$/.exec(stdout) ?? [];
  return { pid: Number(pid), comm, executable };
}
