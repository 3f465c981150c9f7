/**
 * softflowd on the same interface as a live agent: for the same traffic both have the same packets and layer-3 bytes,
 * way by way. softflowd counts buffers as libpcap hands them over, so offloads are off; it takes the fragments after
 * the first for a flow without ports, so there are none.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { protocolName } from "../packages/flows/src/protocols.ts";
import { oneWay, wayOf } from "../packages/flows/src/testing/observed.ts";
import {
  isInstalled,
  missingKernel,
  type Namespace,
  pair,
  run as runCommand,
  start,
  startAgent,
  udpTraffic,
} from "../test/lab/index.ts";
import type { ConformanceResult } from "./lib/conformance.ts";
import { difference, mixedTraffic, type Ways } from "./lib/ways.ts";

export async function run(): Promise<ConformanceResult> {
  for (const tool of ["softflowd", "softflowctl"])
    if (!(await isInstalled(tool)))
      return { outcome: "skipped", reason: `${tool} is not installed (Debian: softflowd)` };
  const lack = await missingKernel("netns", "nftables", "bpf", "btf");
  if (lack !== undefined) return { outcome: "skipped", reason: lack };
  await using net = await pair();
  const { client, server, right } = net;
  await using agent = await startAgent({ places: server });
  await agent.observes(2);
  await using peer = await softflowd(server, "eth0");
  const before = await packetsOf(server);
  await mixedTraffic(net, "ipv4");
  await mixedTraffic(net, "ipv6");
  const packets = (await packetsOf(server)) - before;
  while ((await peer.processed()) < packets) await filler(client, server, right.ipv4);
  const theirs = withoutFiller(await peer.flows());
  const { flows } = await agent.get<FlowList>("/api/v1/flows?limit=10000");
  const ours = withoutFiller(oneWay(flows));
  const reason = difference("softflowd", theirs, ours);
  if (reason !== undefined) return { outcome: "failed", reason };
  return { outcome: "passed", reason: `${Object.keys(ours).length} ways of the same packets and bytes` };
}

const FILLER_PORT = 9;
const withoutFiller = (ways: Ways): Ways =>
  Object.fromEntries(Object.entries(ways).filter(([way]) => !way.endsWith(` ${FILLER_PORT}`)));

/** Its libpcap hands packets over when a block of its buffer is full: these push the others through. */
async function filler(client: Namespace, server: Namespace, host: string): Promise<void> {
  const size = { count: 100, sizeBytes: 1000 };
  await udpTraffic({ sender: client, receivers: [server], host, port: FILLER_PORT, ...size });
}

async function packetsOf(namespace: Namespace): Promise<number> {
  const { received, sent } = await namespace.link("eth0");
  return received.packets + sent.packets;
}

interface Softflowd extends AsyncDisposable {
  /** Packets so far. @throws if some were lost on their way to it */
  processed(): Promise<number>;
  flows(): Promise<Ways>;
}

async function softflowd(place: Namespace, device: string): Promise<Softflowd> {
  const folder = await mkdtemp(join(tmpdir(), "x0-softflowd-"));
  const control = join(folder, "control");
  const command = ["softflowd", "-d", "-6", "-i", device, "-c", control, "-p", join(folder, "pid")];
  const running = await start(command, /starting data collection/, { places: place });
  const ask = async (what: string): Promise<string> =>
    (await runCommand(["softflowctl", "-c", control, what])).stdout;
  return {
    async processed() {
      const statistics = await ask("statistics");
      const lost = /dropped by \w+: [1-9]\d*/.exec(statistics)?.[0];
      if (lost !== undefined) throw new Error(`softflowd: packets ${lost}`);
      return Number(/Packets processed: (\d+)/.exec(statistics)?.[1]);
    },
    flows: async () => waysIn(await ask("dump-flows")),
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}

/** Lines of `dump-flows`: `ACTIVE seq:1 [10.0.0.1]:5000 <> [10.0.0.2]:80 proto:6 octets>:104 packets>:2 octets<:…`. */
function waysIn(dump: string): Ways {
  const ways: Ways = {};
  const line =
    /\[([\d.a-f:]+)\]:(\d+) <> \[([\d.a-f:]+)\]:(\d+) proto:(\d+) octets>:(\d+) packets>:(\d+) octets<:(\d+) packets<:(\d+)/g;
  for (const match of dump.matchAll(line)) {
    const [, from = "", fromPort, to = "", toPort, number, bytes, packets, bytesBack, packetsBack] = match;
    const protocol = protocolName(Number(number));
    // It keeps the type and code of ICMP as ports.
    const port = (text: string | undefined): number => (protocol.startsWith("icmp") ? 0 : Number(text));
    const [source, destination] = [
      { ip: from, port: port(fromPort) },
      { ip: to, port: port(toPort) },
    ];
    add(ways, wayOf(protocol, source, destination), Number(packets), Number(bytes));
    add(ways, wayOf(protocol, destination, source), Number(packetsBack), Number(bytesBack));
  }
  return ways;
}

function add(ways: Ways, key: string, packets: number, bytes: number): void {
  if (packets === 0) return;
  const sum = ways[key] ?? { packets: 0, bytes: 0 };
  ways[key] = { packets: sum.packets + packets, bytes: sum.bytes + bytes };
}
