/**
 * What tcpdump saw, as counts per five-tuple: the oracle beside the product's own counting. tshark takes
 * the file apart, so it shares no code with the product's capture reader.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Namespace } from "./namespace.ts";
import { type Running, run, start } from "./process.ts";

/** Packets one way. */
export interface CapturedFlow {
  /** `tcp`, `udp`, `icmp`, `icmpv6`, or the protocol's number. */
  readonly protocol: string;
  readonly source: CapturedEndpoint;
  readonly destination: CapturedEndpoint;
  readonly packets: number;
  /** Layer-3 bytes: IP header and all behind it. */
  readonly bytes: number;
}

export interface CapturedEndpoint {
  readonly ip: string;
  /** 0 without ports, and for all but the first fragment of a packet. */
  readonly port: number;
}

export interface Captured {
  readonly flows: readonly CapturedFlow[];
  /** Frames that carry no IP, by ethertype: `0x0806` is ARP. */
  readonly other: Readonly<Record<string, number>>;
  readonly packets: number;
}

export interface Capture extends AsyncDisposable {
  /** A pcap file; gone when the capture is disposed. */
  readonly file: string;
  /**
   * Ends it once all that the kernel gave it is in the file.
   * @throws if the kernel dropped some for want of buffer: then it is no oracle.
   */
  stop(): Promise<Captured>;
}

/** Starts tcpdump on an interface, and returns when it listens. */
export async function capture(
  namespace: Namespace,
  device: string,
  filter: readonly string[] = [],
): Promise<Capture> {
  const folder = await mkdtemp(join(tmpdir(), "x0lab-"));
  const file = join(folder, "capture.pcap");
  // -Z: else tcpdump gives up root, and with it the right to write into the folder. -B is in KiB.
  const command = [
    "tcpdump",
    "-i",
    device,
    "-w",
    file,
    "-U",
    "--immediate-mode",
    "-B",
    "65536",
    "-n",
    "-Z",
    "root",
  ];
  const tcpdump = await start([...command, ...filter], /listening on/, { places: [namespace] });
  return {
    file,
    stop: async () => {
      await flushed(tcpdump);
      const said = await tcpdump.stop("SIGINT");
      const dropped = Number(/(\d+) packets? dropped by kernel/.exec(said)?.[1] ?? Number.NaN);
      if (dropped !== 0) throw new Error(`tcpdump on ${device} lost packets: ${said}`);
      return readCapture(file);
    },
    [Symbol.asyncDispose]: async () => {
      await tcpdump[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** SIGINT leaves in the ring what is not read yet; SIGUSR1 says how much that is (tcpdump(8)). */
async function flushed(tcpdump: Running): Promise<void> {
  const counts =
    /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel\n/g;
  for (let asked = 1; ; asked++) {
    tcpdump.kill("SIGUSR1");
    await tcpdump.waitFor(new RegExp(`(?:dropped by kernel[^]*){${asked}}`));
    const [, captured, received, dropped] = [...tcpdump.output().matchAll(counts)].at(-1) ?? [];
    if (Number(captured) + Number(dropped) >= Number(received)) return;
  }
}

/** Counts a capture file, pcap or pcapng, per five-tuple and direction. */
export async function readCapture(file: string): Promise<Captured> {
  const options = ["-n", "-T", "fields", "-E", "occurrence=f"];
  // Each fragment is a packet of its own.
  const asTheyCame = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"];
  const { stdout } = await run([
    "tshark",
    ...["-r", file, ...options, ...asTheyCame],
    ...fields.flatMap((field) => ["-e", field]),
  ]);
  const flows = new Map<string, CapturedFlow>();
  const other: Record<string, number> = {};
  const lines = stdout.split("\n").slice(0, -1);
  for (const line of lines) {
    const values = line.split("\t");
    const packet = Object.fromEntries(fields.map((field, index) => [field, values[index] ?? ""])) as Packet;
    const flow = readPacket(packet);
    if (flow === undefined) {
      const type = packet["vlan.etype"] || packet["eth.type"];
      other[type] = (other[type] ?? 0) + 1;
      continue;
    }
    const { protocol, source, destination } = flow;
    const key = [protocol, source.ip, source.port, destination.ip, destination.port].join();
    const { packets = 0, bytes = 0 } = flows.get(key) ?? {};
    flows.set(key, { ...flow, packets: packets + 1, bytes: bytes + flow.bytes });
  }
  return { flows: [...flows.values()], other, packets: lines.length };
}

const extensionHeaders = {
  "0": "ipv6.hopopts",
  "43": "ipv6.routing",
  "44": "ipv6.fraghdr",
  "60": "ipv6.dstopts",
} as const;
const fields = [
  "eth.type",
  "vlan.etype",
  "ip.src",
  "ip.dst",
  "ip.len",
  "ip.proto",
  "ip.frag_offset",
  "ipv6.src",
  "ipv6.dst",
  "ipv6.plen",
  "ipv6.nxt",
  "ipv6.hopopts.nxt",
  "ipv6.routing.nxt",
  "ipv6.fraghdr.nxt",
  "ipv6.fraghdr.offset",
  "ipv6.dstopts.nxt",
  "tcp.srcport",
  "tcp.dstport",
  "udp.srcport",
  "udp.dstport",
] as const;
/** The first occurrence of each field; an ICMP error repeats those of the packet that it is about. */
type Packet = Readonly<Record<(typeof fields)[number], string>>;

const protocolNames: Readonly<Record<string, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6" };

function readPacket(packet: Packet): CapturedFlow | undefined {
  const type = Number(packet["vlan.etype"] || packet["eth.type"]);
  if (type !== 0x0800 && type !== 0x86dd) return undefined;
  const v6 = type === 0x86dd;
  let number = v6 ? packet["ipv6.nxt"] : packet["ip.proto"];
  for (let header: string | undefined; ; number = packet[`${header}.nxt` as keyof Packet]) {
    header = v6 ? extensionHeaders[number as keyof typeof extensionHeaders] : undefined;
    if (header === undefined) break;
  }
  const protocol = protocolNames[number] ?? number;
  const first = Number(v6 ? packet["ipv6.fraghdr.offset"] : packet["ip.frag_offset"]) === 0;
  const ports = first && (protocol === "tcp" || protocol === "udp") ? protocol : undefined;
  const port = (side: "srcport" | "dstport"): number =>
    ports === undefined ? 0 : Number(packet[`${ports}.${side}`]);
  return {
    protocol,
    source: { ip: packet[v6 ? "ipv6.src" : "ip.src"], port: port("srcport") },
    destination: { ip: packet[v6 ? "ipv6.dst" : "ip.dst"], port: port("dstport") },
    packets: 1,
    bytes: v6 ? 40 + Number(packet["ipv6.plen"]) : Number(packet["ip.len"]),
  };
}
