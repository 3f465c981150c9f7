/** Seeded flows of a small world, recorded: few addresses, names and ports, so that much is met again. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock, Random } from "@x0tta6bl4/core";
import { formatAddress, isMappedIPv4 } from "../../../address.ts";
import type { Flow, FlowProcess } from "../../../flow.ts";
import { type History, openHistory } from "../../../history/history.ts";
import { batchOf } from "../../../recording/from-flows.ts";
import { readBatch } from "../../../recording/record.ts";
import { testFlow, testProcess } from "../../../testing/flows.ts";
import { verdicts } from "../../../verdicts.ts";
import type { World } from "../../model.ts";
import { one } from "../../testing/choose.ts";
import { anAddress } from "../../testing/random-addresses.ts";
import { names } from "../../testing/vocabulary.ts";

export const trafficMs: number = Date.UTC(2026, 10, 22);
export const netns = 4_026_531_840;

/** @param ports fewer of them meet more often. */
export function randomFlows(
  random: Random,
  world: World,
  count: number,
  ports = [22, 53, 80, 443, 8080],
): Flow[] {
  return Array.from({ length: count }, (_, index) => randomFlow(random, world, index, ports));
}

function randomFlow(random: Random, world: World, index: number, ports: readonly number[]): Flow {
  const known = world.members.flatMap(({ addresses }) => addresses);
  const peer = known.length > 0 && random.below(4) === 0 ? one(random, known) : anAddress(random);
  const isIPv4 = isMappedIPv4(peer);
  const own = { ip: isIPv4 ? "198.51.100.1" : "2001:db8:ffff::1", name: null };
  const protocol = one(random, [
    "tcp",
    "tcp",
    "tcp",
    "udp",
    "udp",
    isIPv4 ? "icmp" : "icmpv6",
    "sctp",
    "gre",
  ]);
  const isIcmp = protocol.startsWith("icmp");
  const hasPorts = !isIcmp && protocol !== "gre" && random.below(20) > 0;
  const isEgress = random.below(2) === 0;
  const other = { ip: formatAddress(peer), name: random.below(2) === 0 ? one(random, names) : null };
  const [source, destination] = isEgress ? [own, other] : [other, own];
  const startMs = trafficMs + index * 10;
  const flags = one(random, [["SYN"], ["SYN", "RST", "ACK"], ["SYN", "PSH", "ACK"], ["SYN", "PSH", "ACK"]]);
  const place = one(random, ["local", "local", "local", "local", "local", "loopback", "forwarded"] as const);
  const process = (): FlowProcess | null =>
    random.below(4) === 0
      ? null
      : testProcess({ comm: `c-${random.below(2)}`, cgroup: null, unit: workloadOf(random, world) });
  return testFlow({
    id: String(index + 1),
    start: new Date(startMs).toISOString(),
    end: new Date(startMs + 5).toISOString(),
    source: { ...source, port: hasPorts ? 40_000 + random.below(1000) : 0 },
    destination: { ...destination, port: hasPorts ? one(random, ports) : 0 },
    protocol,
    icmp: isIcmp ? { type: one(random, isIPv4 ? [8, 13, 3] : [128, 135, 1]), code: 0, id: 0 } : null,
    direction: isEgress ? "egress" : "ingress",
    place,
    netns: random.below(20) === 0 ? netns + 1 : netns,
    verdict: random.below(20) === 0 ? "dropped" : one(random, verdicts.slice(0, 2)),
    packets: { sent: 1 + random.below(3), received: flags.length === 1 ? 0 : random.below(3) },
    bytes: { sent: 100, received: 100 },
    tcpFlags: protocol === "tcp" ? flags : [],
    process: process(),
    peerProcess: place === "loopback" ? process() : null,
  });
}

function workloadOf(random: Random, { workloads }: World): string | null {
  return workloads.length > 0 ? one(random, workloads).name : null;
}

export interface Recorded extends Disposable {
  readonly history: History;
}

/** In files that go with it. */
export function recordedFlows(flows: readonly Flow[]): Recorded {
  const folder = mkdtempSync(join(tmpdir(), "x0-rehearse-"));
  const clock: Clock = { nowMs: () => trafficMs + 3_600_000, monotonicNs: () => 0n };
  const history = openHistory({
    folder,
    maxBytes: 1e9,
    maxAgeMs: 1e12,
    run: trafficMs,
    clock,
    maxFlows: 65_536,
  });
  const coverage = { fromMs: trafficMs, toMs: trafficMs + flows.length * 10 + 1000 };
  history.take(readBatch(batchOf(flows, coverage)), []);
  return {
    history,
    [Symbol.dispose]() {
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
