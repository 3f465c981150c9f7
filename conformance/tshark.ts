/**
 * Our replay against Wireshark's `tshark`: the same captures, conversation by conversation, packets and layer-3 bytes
 * each way. editcap and mergecap write the captures in the other forms (pcapng, nanoseconds, snapped, two link types).
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { readCapture, replayFlows, replayTotals } from "@x0tta6bl4/flows";
import { pcap } from "../packages/flows/src/testing/captures.ts";
import { ethernet } from "../packages/flows/src/testing/frames.ts";
import { mixedTraffic } from "../packages/flows/src/testing/traffic.ts";
import type { ConformanceResult } from "./lib/conformance.ts";

const exec = promisify(execFile);
const seed = 20_261_122;
const connections = 200;

/** Packets and bytes from the lower to the higher end, and back. */
type Totals = [packets: number, bytes: number, packetsBack: number, bytesBack: number];
type Conversations = Map<string, Totals>;

export async function run(): Promise<ConformanceResult> {
  const tools = ["tshark", "editcap", "mergecap"];
  for (const tool of tools)
    if (!(await works(tool)))
      return { outcome: "skipped", reason: `${tool} is not installed (Debian: wireshark-common)` };
  const folder = await mkdtemp(join(tmpdir(), "x0-tshark-"));
  try {
    const files = await captures(folder);
    let compared = 0;
    for (const file of files) {
      const [theirs, ours] = await Promise.all([theirConversations(file), ourConversations(file)]);
      const difference = differenceOf(theirs, ours);
      if (difference !== undefined)
        return { outcome: "failed", reason: `${file.slice(folder.length + 1)}: ${difference}` };
      compared += theirs.size;
    }
    return { outcome: "passed", reason: `${compared} conversations in ${files.length} captures` };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function works(tool: string): Promise<boolean> {
  try {
    await exec(tool, ["--version"]);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

async function captures(folder: string): Promise<string[]> {
  const at = (name: string): string => join(folder, name);
  const mixed = mixedTraffic(seed, connections);
  const arp = ethernet(new Uint8Array(28), { etherType: 0x0806, pad: true });
  const frames = mixed.flatMap(({ packet, timestampNs, vlans }, index) => {
    const frame = { frame: ethernet(packet, { vlans, pad: true }), timestampNs };
    return index % 16 === 0 ? [frame, { frame: arp, timestampNs }] : [frame];
  });
  const raw = mixedTraffic(seed + 1, connections).map(({ packet, timestampNs }) => ({
    frame: packet,
    timestampNs,
  }));
  await writeFile(at("ethernet.pcap"), pcap(frames));
  await writeFile(at("raw.pcap"), pcap(raw, { linkType: 101, big: true }));
  await exec("editcap", ["-F", "pcapng", at("ethernet.pcap"), at("ethernet.pcapng")]);
  await exec("editcap", ["-F", "nsecpcap", at("ethernet.pcap"), at("nanoseconds.pcap")]);
  await exec("editcap", ["-s", "134", at("ethernet.pcap"), at("snapped.pcapng")]);
  await exec("mergecap", ["-F", "pcapng", "-w", at("merged.pcapng"), at("ethernet.pcap"), at("raw.pcap")]);
  await writeFile(at("merged.pcapng.gz"), gzipSync(await readFile(at("merged.pcapng"))));
  return [
    "ethernet.pcap",
    "raw.pcap",
    "ethernet.pcapng",
    "nanoseconds.pcap",
    "snapped.pcapng",
    "merged.pcapng",
    "merged.pcapng.gz",
  ].map(at);
}

const fields = [
  "frame.protocols",
  "ip.src",
  "ip.dst",
  "ip.len",
  "ip.proto",
  "ip.id",
  "ip.frag_offset",
  "ipv6.src",
  "ipv6.dst",
  "ipv6.plen",
  "ipv6.fraghdr.ident",
  "ipv6.fraghdr.offset",
  "ipv6.fraghdr.nxt",
  "tcp.srcport",
  "tcp.dstport",
  "udp.srcport",
  "udp.dstport",
  "sctp.srcport",
  "sctp.dstport",
  "icmp.type",
  "icmp.code",
  "icmp.ident",
  "icmpv6.type",
  "icmpv6.code",
  "icmpv6.echo.identifier",
] as const;
const protocolsByNumber: Readonly<Record<string, string>> = {
  "1": "icmp",
  "6": "tcp",
  "17": "udp",
  "47": "gre",
  "58": "icmpv6",
  "132": "sctp",
};
const transports = new Set(["icmp", "icmpv6", "tcp", "udp", "sctp", "gre"]);

async function theirConversations(file: string): Promise<Conversations> {
  const args = [
    "-r",
    file,
    "-n",
    "-T",
    "fields",
    "-E",
    "occurrence=f",
    "-E",
    "separator=\t",
    "-o",
    "ip.defragment:FALSE",
    "-o",
    "ipv6.defragment:FALSE",
    "-o",
    "tcp.relative_sequence_numbers:FALSE",
    ...fields.flatMap((field) => ["-e", field]),
  ];
  const { stdout } = await exec("tshark", args, { maxBuffer: 2 ** 28 });
  const conversations: Conversations = new Map();
  const firstFragments = new Map<string, { protocol: string; ends: readonly [string, string] }>();
  for (const row of stdout.split("\n").slice(0, -1)) {
    const values = row.split("\t");
    const field = (name: (typeof fields)[number]): string => values[fields.indexOf(name)] ?? "";
    const six = field("ip.src") === "";
    const [source, destination] = six
      ? [field("ipv6.src"), field("ipv6.dst")]
      : [field("ip.src"), field("ip.dst")];
    if (source === "") continue;
    const named = field("frame.protocols")
      .split(":")
      .find((name) => transports.has(name));
    let protocol = named ?? protocolsByNumber[six ? field("ipv6.fraghdr.nxt") : field("ip.proto")] ?? "?";
    let ends: readonly [string, string] = endsOf(protocol, field);
    const datagram = `${source} ${destination} ${six ? field("ipv6.fraghdr.ident") : field("ip.id")}`;
    if (Number(six ? field("ipv6.fraghdr.offset") : field("ip.frag_offset")) > 0)
      ({ protocol, ends } = firstFragments.get(datagram) ?? { protocol, ends });
    else firstFragments.set(datagram, { protocol, ends });
    const bytes = six ? Number(field("ipv6.plen")) + 40 : Number(field("ip.len"));
    count(conversations, protocol, [`${source} ${ends[0]}`, `${destination} ${ends[1]}`], [1, bytes, 0, 0]);
  }
  return conversations;
}

/** What tells conversations of two addresses apart: ports, or what an ICMP message is about. */
function endsOf(
  protocol: string,
  field: (name: (typeof fields)[number]) => string,
): readonly [string, string] {
  if (protocol === "tcp" || protocol === "udp" || protocol === "sctp")
    return [field(`${protocol}.srcport`), field(`${protocol}.dstport`)];
  if (protocol !== "icmp" && protocol !== "icmpv6") return ["0", "0"];
  const echo = field(protocol === "icmp" ? "icmp.ident" : "icmpv6.echo.identifier");
  const topic =
    echo === "" ? `${field(`${protocol}.type`)}/${field(`${protocol}.code`)}` : `echo ${Number(echo)}`;
  return [topic, topic];
}

async function ourConversations(file: string): Promise<Conversations> {
  const conversations: Conversations = new Map();
  for await (const { change, flow } of replayFlows(readCapture(file), replayTotals())) {
    if (change === "start") continue;
    const { protocol, source, destination, icmp: message, packets, bytes } = flow;
    const echo = message !== null && (protocol === "icmp" ? [0, 8] : [128, 129]).includes(message.type);
    const topic =
      message === null ? undefined : echo ? `echo ${message.id}` : `${message.type}/${message.code}`;
    count(
      conversations,
      protocol,
      [`${source.ip} ${topic ?? source.port}`, `${destination.ip} ${topic ?? destination.port}`],
      [packets.sent, bytes.sent, packets.received, bytes.received],
    );
  }
  return conversations;
}

function count(
  conversations: Conversations,
  protocol: string,
  [from, to]: readonly [string, string],
  [packets, bytes, packetsBack, bytesBack]: Totals,
): void {
  const forward = from <= to;
  const key = `${protocol} ${forward ? from : to} - ${forward ? to : from}`;
  const total = conversations.get(key) ?? [0, 0, 0, 0];
  const added = forward ? [packets, bytes, packetsBack, bytesBack] : [packetsBack, bytesBack, packets, bytes];
  conversations.set(key, total.map((value, index) => value + (added[index] ?? 0)) as Totals);
}

function differenceOf(theirs: Conversations, ours: Conversations): string | undefined {
  if (theirs.size < connections / 2) return `tshark sees only ${theirs.size} conversations`;
  for (const [key, totals] of theirs)
    if (String(ours.get(key)) !== String(totals))
      return `${key}: tshark ${totals}, we ${ours.get(key) ?? "nothing"}`;
  for (const key of ours.keys()) if (!theirs.has(key)) return `${key}: only we have it`;
  return undefined;
}
