/**
 * Damaged frames through the shipped programs, and what the decoder of replays says of them, packet for packet. Parsers
 * of payloads meet them too: those of DNS, TLS, QUIC and HTTP, on their ports.
 */
import { systemClock } from "@x0tta6bl4/core";
import { formatAddress } from "../../packages/flows/src/address.ts";
import { type Capture, openCapture } from "../../packages/flows/src/capture/capture.ts";
import type { CaptureOptions, Totals } from "../../packages/flows/src/capture/contract.ts";
import type { Flow } from "../../packages/flows/src/flow.ts";
import { testRun } from "../../packages/flows/src/kernel/bpf.ts";
import { flowTableSizes } from "../../packages/flows/src/kernel/flow-table.ts";
import { openLibc } from "../../packages/flows/src/kernel/libc.ts";
import { loadObject } from "../../packages/flows/src/kernel/load.ts";
import { shippedPrograms } from "../../packages/flows/src/kernel/programs.ts";
import { protocolName } from "../../packages/flows/src/protocols.ts";
import { decodePacket, linkType } from "../../packages/flows/src/replay/packet.ts";
import { partiesOfFragments } from "../../packages/flows/src/replay/parties.ts";
import { kernelWithoutDevices } from "../../packages/flows/src/testing/bench-programs.ts";
import { damagedFrames } from "../../packages/flows/src/testing/damaged-frames.ts";
import { captureDefaults, observe, oneWay } from "../../packages/flows/src/testing/observed.ts";
import { connect, createNamespace, frameSender, swallow } from "../lab/index.ts";

export interface DamageReport {
  /** Frames that a device took, or that a program ran on. */
  readonly seen: number;
  readonly lost: Totals["lost"];
  /** As counted. */
  readonly others: number;
  /** Frames that hold no IP packet, ways on which packets were sent: by the decoder. */
  readonly expectedOthers: number;
  readonly ways: number;
  /** Ways on which both disagree. */
  readonly differences: readonly string[];
}

const AT_ONCE = 1000;
/** A test run takes no frame that ends within the IP header. */
const SHORTEST_RUN = 54;
const options: CaptureOptions = {
  ...captureDefaults,
  maxFlows: 131_072,
  recentFlows: 131_072,
  ringBytes: 1 << 24,
  services: [
    { protocol: "udp", port: 53, application: "dns" },
    { protocol: "tcp", port: 53, application: "dns" },
    { protocol: "tcp", port: 8080, application: "http" },
  ],
};

/** By BPF_PROG_TEST_RUN. @throws when a program decides about a packet */
export function damageByTestRun(seed: number, count: number): DamageReport {
  const libc = openLibc();
  const loaded = loadObject(libc, shippedPrograms(), {
    maxEntries: { ...flowTableSizes(options.maxFlows), events: options.ringBytes },
  });
  const silent = { changes() {}, events() {}, record() {} };
  const capture = openCapture(libc, options, systemClock, silent, kernelWithoutDevices(libc, loaded));
  const oracle = packetOracle();
  let seen = 0;
  for (const frame of damagedFrames(seed, count, SHORTEST_RUN)) {
    oracle.see(frame);
    const { verdict } = testRun(libc, loaded.programs.x0_ingress, frame);
    if (verdict !== -1) throw new Error(`verdict ${verdict} on ${Buffer.from(frame).toString("hex")}`);
    if (++seen % AT_ONCE === 0) capture.drain();
  }
  capture.read();
  const report = compare(capture, capture.list({ limit: 1_000_000 }).flows, oracle, seen);
  capture.close();
  return report;
}

/** As real frames, by a veth pair. Needs "netns", "nftables", "bpf", "btf". */
export async function damageByDevice(seed: number, count: number): Promise<DamageReport> {
  await using sender = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(sender, host, { offloads: false });
  await swallow(host, to.name);
  using observed = observe({ ...options, namespaces: [host.path] });
  await using frames = await frameSender(from);
  const oracle = packetOracle();
  const before = (await host.link(to.name)).received.packets;
  const batch: Uint8Array[] = [];
  for (const frame of damagedFrames(seed, count)) {
    oracle.see(frame);
    batch.push(frame);
    if (batch.length < AT_ONCE) continue;
    await frames.send(batch.splice(0));
    observed.capture.drain();
  }
  await frames.send(batch);
  const seen = (await host.link(to.name)).received.packets - before;
  return compare(observed.capture, observed.flows(host.inode, { limit: 1_000_000 }), oracle, seen);
}

function compare(capture: Capture, flows: readonly Flow[], oracle: Oracle, seen: number): DamageReport {
  const { lost, notIp, malformed } = capture.totals();
  return {
    seen,
    lost,
    others: notIp + malformed,
    expectedOthers: oracle.others,
    ways: Object.keys(oracle.ways).length,
    differences: differences(flows, oracle),
  };
}

type Sums = Record<string, { packets: number; bytes: number }>;

interface Oracle {
  see(frame: Uint8Array): void;
  /** Packets and bytes of each way of each conversation. */
  readonly ways: Sums;
  /** Frames that hold no IP packet. */
  readonly others: number;
}

function packetOracle(): Oracle {
  const partiesOf = partiesOfFragments();
  const ways: Sums = {};
  let others = 0;
  return {
    ways,
    get others() {
      return others;
    },
    see(frame) {
      const packet = decodePacket(linkType.ETHERNET, frame, frame.length);
      if (packet === undefined) {
        others++;
        return;
      }
      const parties = partiesOf(packet);
      const hasPorts = parties.icmp === null;
      const end = (address: Uint8Array, port: number): string =>
        `${formatAddress(address)} ${hasPorts ? port : 0}`;
      const name = protocolName(parties.protocol);
      const way = `${name} ${end(packet.source, parties.sourcePort)} > ${end(packet.destination, parties.destinationPort)}`;
      const sum = ways[way] ?? { packets: 0, bytes: 0 };
      ways[way] = { packets: sum.packets + 1, bytes: sum.bytes + packet.bytes };
    },
  };
}

/** Ways on which both differ, a few of them, for a message. */
function differences(counted: readonly Flow[], { ways }: Oracle): readonly string[] {
  const ours = oneWay(counted);
  const text = (sum: { packets: number; bytes: number } | undefined): string =>
    sum === undefined ? "none" : `${sum.packets} packets of ${sum.bytes} bytes`;
  return [...new Set([...Object.keys(ours), ...Object.keys(ways)])]
    .filter((way) => text(ours[way]) !== text(ways[way]))
    .map((way) => `${way}: counted ${text(ours[way])}, sent ${text(ways[way])}`);
}
