/**
 * nfcapd receives our IPFIX and nfdump reads it back: addresses, ports, ICMP types, counters beyond 32 bits, flags,
 * times and translations are those that were sent, a record each way and as RFC 5103 biflow. What goes over TCP is cut
 * into its messages by their own lengths and handed on, since Debian's nfcapd listens on UDP only.
 */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { batch, figures, openExport } from "../packages/flows/src/export/testing/batches.ts";
import { splitMessages } from "../packages/flows/src/export/testing/ipfix.ts";
import type { Flow } from "../packages/flows/src/flow.ts";
import { protocolNumber } from "../packages/flows/src/protocols.ts";
import { mixedFlows, testFlow } from "../packages/flows/src/testing/flows.ts";
import { isInstalled, run as runCommand, start } from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";

const seed = 20_261_122;
const deadlineMs = 20_000;

export async function run(): Promise<ConformanceResult> {
  for (const tool of ["nfcapd", "nfdump"])
    if (!(await isInstalled(tool)))
      return { outcome: "skipped", reason: `${tool} is not installed (Debian: nfdump)` };
  const flows = knownFlows();
  let rows = 0;
  for (const format of ["ipfix", "ipfix-biflow"] as const)
    for (const transport of ["udp", "tcp"] as const) {
      const sent = flows
        .flatMap((flow) => (format === "ipfix" ? eachWay(flow) : [bothWays(flow)]))
        .toSorted();
      const read = (await readBack(flows, transport, format)).toSorted();
      rows += read.length;
      const at = sent.findIndex((row, index) => row !== read[index]);
      if (at >= 0 || read.length !== sent.length) {
        const reason = `${format} over ${transport}, row ${at} of ${sent.length}: we sent ${sent[at] ?? "nothing"}, nfdump has ${read[at] ?? "nothing"}`;
        return { outcome: "failed", reason };
      }
    }
  return { outcome: "passed", reason: `${rows} records of ${flows.length} flows, four ways` };
}

/** Ended flows of every kind, and one with counters that need 64 bits. */
function knownFlows(): Flow[] {
  const big = testFlow({
    packets: { sent: 2 ** 40 + 3, received: 2 ** 33 + 1 },
    bytes: { sent: 2 ** 50 + 7, received: 2 ** 45 + 5 },
  });
  const mixed = mixedFlows(seed, 400).map((flow) => ({
    ...flow,
    state: "ended" as const,
    // This nfdump shows translated addresses of IPv4 only.
    translated: flow.source.ip.includes(":") ? null : flow.translated,
  }));
  return [big, ...mixed].map((flow, index) => ({ ...flow, id: String(index + 1), netns: 1 }));
}

interface Way {
  readonly source: Pick<Flow["source"], "ip" | "port">;
  readonly destination: Pick<Flow["source"], "ip" | "port">;
  readonly translated: Flow["translated"];
  readonly icmp: Flow["icmp"];
  readonly counters: string;
}

function eachWay(flow: Flow): string[] {
  const { source, destination, translated, icmp, packets, bytes } = flow;
  const there: Way = { source, destination, translated, icmp, counters: `${packets.sent} ${bytes.sent}` };
  const isEcho = icmp !== null && [8, 128].includes(icmp.type);
  const back: Way = {
    // A reply is seen before its translation is undone.
    source: translated?.destination ?? destination,
    destination: translated?.source ?? source,
    translated: translated === null ? null : { source: destination, destination: source },
    icmp: isEcho ? { ...icmp, type: icmp.type === 8 ? 0 : 129 } : icmp,
    counters: `${packets.received} ${bytes.received}`,
  };
  return (packets.received > 0 ? [there, back] : [there]).map((way) => row(flow, way));
}

function bothWays(flow: Flow): string {
  const { source, destination, translated, icmp, packets, bytes } = flow;
  const counters = `${packets.sent} ${bytes.sent} ${packets.received} ${bytes.received}`;
  return row(flow, { source, destination, translated, icmp, counters });
}

function row({ protocol, start: began, end, tcpFlags }: Flow, way: Way): string {
  const { source, destination, translated, icmp, counters } = way;
  return [
    protocolNumber(protocol),
    endOf(source),
    endOf(destination),
    icmp === null ? "-" : `${icmp.type}/${icmp.code}`,
    counters,
    tcpFlags
      .map((flag) => flag[0])
      .toSorted()
      .join(""),
    began,
    end,
    translated === null
      ? "0.0.0.0:0 0.0.0.0:0"
      : `${endOf(translated.source)} ${endOf(translated.destination)}`,
  ].join(" ");
}

const endOf = ({ ip, port }: Way["source"]): string => `${ip}:${port}`;

async function readBack(
  flows: readonly Flow[],
  transport: "udp" | "tcp",
  format: "ipfix" | "ipfix-biflow",
): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), "x0-nfcapd-"));
  try {
    const port = await freePort();
    const listen = ["-b", "127.0.0.1", "-p", String(port), "-w", folder, "-t", "3600"];
    await using nfcapd = await start(["nfcapd", ...listen], /Startup nfcapd/);
    await using relay = transport === "tcp" ? await relayTo(port) : undefined;
    const sink = openExport({ to: `${transport}:127.0.0.1:${relay?.port ?? port}`, format });
    sink.take(batch(flows), []);
    await sink.close(deadlineMs);
    await relay?.ended;
    const { records = 0 } = figures(sink);
    await drained(port);
    const said = await nfcapd.stop("SIGTERM");
    const [, received, sequenceErrors] = /Flows: (\d+),.*Sequence Errors: (\d+)/.exec(said) ?? [];
    if (Number(received) !== records || sequenceErrors !== "0")
      throw new Error(`we sent ${records} records, nfcapd says ${said.trim()}`);
    const file = (await readdir(folder)).find((name) => /^nfcapd\.\d+$/.test(name));
    return await rowsOf(join(folder, file ?? "nothing"));
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface NfdumpFlow {
  readonly proto: number;
  readonly first: string;
  readonly last: string;
  readonly tcp_flags?: string;
  readonly src4_addr?: string;
  readonly dst4_addr?: string;
  readonly src6_addr?: string;
  readonly dst6_addr?: string;
  readonly src_port?: number;
  readonly dst_port?: number;
  readonly icmp_type?: number;
  readonly icmp_code?: number;
  readonly in_packets: number;
  readonly in_bytes: number;
  readonly out_packets?: number;
  readonly out_bytes?: number;
}

async function rowsOf(file: string): Promise<string[]> {
  const nfdump = async (...format: readonly string[]): Promise<string> =>
    (await runCommand(["nfdump", "-r", file, ...format], { environment: { TZ: "UTC" } })).stdout;
  const flows = JSON.parse(await nfdump("-o", "json")) as NfdumpFlow[];
  // Its JSON leaves translations out.
  const lines = (await nfdump("-q", "-o", "fmt:%nsa %nsp %nda %ndp")).trimEnd().split("\n");
  return flows.map((flow, index) => {
    const [source, sourcePort, destination, destinationPort] = lines[index]?.trim().split(/\s+/) ?? [];
    const isIcmp = flow.icmp_type !== undefined;
    return [
      flow.proto,
      `${flow.src4_addr ?? flow.src6_addr}:${isIcmp ? 0 : flow.src_port}`,
      `${flow.dst4_addr ?? flow.dst6_addr}:${isIcmp ? 0 : flow.dst_port}`,
      isIcmp ? `${flow.icmp_type}/${flow.icmp_code}` : "-",
      [flow.in_packets, flow.in_bytes, flow.out_packets, flow.out_bytes]
        .filter((n) => n !== undefined)
        .join(" "),
      [...(flow.tcp_flags ?? "")]
        .filter((flag) => flag !== ".")
        .toSorted()
        .join(""),
      `${flow.first}Z`,
      `${flow.last}Z`,
      `${source}:${sourcePort} ${destination}:${destinationPort}`,
    ].join(" ");
  });
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}

/** Resolves when nothing waits in the receive buffer of a port; @throws if that overflowed. */
async function drained(port: number): Promise<void> {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  for (;;) {
    const sockets = (await readFile("/proc/net/udp", "utf8"))
      .split("\n")
      .map((line) => line.trim().split(/\s+/));
    const [, , , , queues = "", ...rest] = sockets.find((columns) => columns[1]?.endsWith(local)) ?? [];
    if (rest.at(-1) !== "0") throw new Error(`nfcapd's socket dropped ${rest.at(-1)} datagrams`);
    if (queues.endsWith(":00000000")) return;
    await setTimeout(10);
  }
}

/** Takes one stream of IPFIX and hands its messages on as datagrams. */
async function relayTo(udpPort: number): Promise<AsyncDisposable & { port: number; ended: Promise<void> }> {
  const socket = createSocket("udp4");
  const ended = Promise.withResolvers<void>();
  const server = createServer(async (connection) => {
    let rest = new Uint8Array();
    for await (const part of connection) {
      const split = splitMessages(Buffer.concat([rest, part as Buffer]));
      rest = Uint8Array.from(split.rest);
      for (const message of split.messages)
        await new Promise((resolve) => socket.send(message, udpPort, "127.0.0.1", resolve));
    }
    if (rest.length > 0) ended.reject(new Error(`the stream ends within a message of ${rest.length} bytes`));
    ended.resolve();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    ended: ended.promise,
    [Symbol.asyncDispose]: async () => {
      server.close();
      socket.close();
    },
  };
}
