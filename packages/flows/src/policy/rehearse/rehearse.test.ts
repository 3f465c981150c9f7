/** Recorded flows are judged as the naive evaluator judges each of them. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { parseAddress } from "../../address.ts";
import type { Flow, FlowProcess } from "../../flow.ts";
import { qualified } from "../../history/rows.ts";
import { simulated } from "../../history/testing/simulated.ts";
import { protocolNumber } from "../../protocols.ts";
import { compile } from "../compile/compile.ts";
import { evaluateManaged } from "../managed.ts";
import { type Attempt, type Direction, NODE_ENDPOINT, type Verdict, type World } from "../model.ts";
import type { KnownAddress } from "../names/known.ts";
import { type RandomCase, randomCase } from "../testing/random-cases.ts";
import { clusterwide, readPolicies, smallWorld } from "../testing/small-world.ts";
import type { Rehearsed, RehearseRequest } from "./contract.ts";
import { rehearse } from "./rehearse.ts";
import { netns, randomFlows, recordedFlows, trafficMs } from "./testing/random-traffic.ts";

const signal = new AbortController().signal;
const whole = { sinceMs: trafficMs, untilMs: trafficMs + 3_600_000 };

function requestOf(
  { set, world, management }: RandomCase,
  more: Partial<RehearseRequest> = {},
): RehearseRequest {
  return {
    id: 1,
    ...whole,
    netns,
    judgeLoopback: management === undefined,
    known: [],
    nodes: addressesOf(world),
    tables: compile(set, world, management),
    workloads: world.workloads,
    top: 10_000,
    ...more,
  };
}

/** Whom no name selects. */
const addressesOf = ({ node, members, workloads }: World): Uint8Array[] =>
  [node, ...members, ...workloads].flatMap(({ addresses }) => addresses ?? []);

/** As a flow shows, without the columns that the rehearsal reads. */
function isAsked(flow: Flow, management: RandomCase["management"]): boolean {
  const { place, protocol, icmp, verdict } = flow;
  const errors = [3, 1];
  const vital = protocol === "icmpv6" && icmp?.type === 135;
  return (
    (place === "local" || (place === "loopback" && management === undefined)) &&
    flow.netns === netns &&
    verdict !== "dropped" &&
    !vital &&
    !(icmp !== null && errors.includes(icmp.type))
  );
}

function hasWorked({ protocol, tcpFlags, packets }: Flow): boolean {
  if (protocol !== "tcp") return packets.received > 0 || packets.sent > 1;
  // Flags of both sides are one set in a flow: an answer has them too, where there was one.
  if (packets.received > 0) return true;
  return tcpFlags.includes("ACK") && packets.sent > 1;
}

/** Whom a flow concerns, and how. */
interface End {
  readonly endpoint: number;
  readonly direction: Direction;
  readonly process: FlowProcess | null;
  readonly workload: number | undefined;
}

/** On loopback what the sender's side sends leaves the node, and both ends may be workloads, known by TCP and UDP. */
function endsOf({ place, direction, process, peerProcess, protocol }: Flow, { workloads }: World): End[] {
  const numberOf = (one: FlowProcess | null): number | undefined =>
    workloads.find(({ name }) => name === one?.unit)?.endpoint;
  const [own, other] = [numberOf(process), numberOf(peerProcess)];
  const isLoopback = place === "loopback";
  const isFirst = direction === "egress" || !isLoopback;
  const [opener, receiver] = isFirst ? [process, peerProcess] : [peerProcess, process];
  const [sender, asked] = isFirst ? [own, other] : [other, own];
  const way = isLoopback ? "egress" : direction;
  const isKnown = isLoopback && ["tcp", "udp"].includes(protocol);
  const node: End = { endpoint: NODE_ENDPOINT, direction: way, process: opener, workload: undefined };
  const ends: End[] = [node];
  if (sender !== undefined) ends.push({ ...node, endpoint: sender, workload: isKnown ? asked : undefined });
  if (asked !== undefined && isLoopback)
    ends.push({
      ...{ endpoint: asked, direction: "ingress", process: receiver },
      workload: isKnown ? sender : undefined,
    });
  return ends;
}

function attemptOf({ source, destination, protocol, icmp }: Flow, end: End): Attempt {
  const { endpoint, direction, workload } = end;
  const peer = direction === "egress" ? destination : source;
  const isBare = ["tcp", "udp", "sctp"].includes(protocol) && source.port === 0 && destination.port === 0;
  return {
    endpoint,
    direction,
    peer: { address: parseAddress(peer.ip) as Uint8Array, workload },
    protocol: protocolNumber(protocol) as number,
    port: icmp !== null ? icmp.type : isBare ? undefined : destination.port,
  };
}

function expected({ set, world, management }: RandomCase, flows: readonly Flow[]) {
  const counts = { judged: 0, denied: 0, audited: 0, attempts: { judged: 0, denied: 0 } };
  const rules = new Map<string, number>();
  const groups = new Map<string, { flows: number; newest: string }>();
  for (const flow of flows) {
    if (!isAsked(flow, management)) continue;
    const verdicts = endsOf(flow, world).map((end): Verdict & { readonly end: End } => {
      const attempt = attemptOf(flow, end);
      const { name } = end.direction === "egress" ? flow.destination : flow.source;
      const names: World["names"] = (address) => [...world.names(address), ...(name === null ? [] : [name])];
      return { end, ...evaluateManaged(set, { ...world, names }, management, attempt) };
    });
    const isDenied = verdicts.some(({ decision }) => decision === "deny");
    if (!hasWorked(flow)) {
      counts.attempts.judged++;
      if (isDenied) counts.attempts.denied++;
      continue;
    }
    counts.judged++;
    if (isDenied) counts.denied++;
    else if (verdicts.some(({ decision }) => decision === "audit")) counts.audited++;
    for (const [index, { decision, id, end }] of verdicts.entries()) {
      const isTold = verdicts.slice(0, index).some((one) => one.decision === decision && one.id === id);
      if (decision === "allow" || isTold) continue;
      const { endpoint, direction, process } = end;
      const peer = direction === "egress" ? flow.destination : flow.source;
      rules.set(`${decision} ${id}`, (rules.get(`${decision} ${id}`) ?? 0) + 1);
      const { port = null } = attemptOf(flow, end);
      const key = JSON.stringify([
        ...[decision, id, endpoint, direction, flow.protocol, port, peer.name ?? peer.ip],
        ...[process?.comm ?? null, process?.unit ?? null],
      ]);
      const known = groups.get(key);
      groups.set(key, { flows: (known?.flows ?? 0) + 1, newest: qualified(trafficMs, flow.id) });
    }
  }
  return { counts, rules, groups };
}

function told({ counts, rules, groups }: Rehearsed) {
  const { unasked: _, names: __, ...rest } = counts;
  return {
    counts: rest,
    rules: new Map(rules.map(({ decision, rule, flows }) => [`${decision} ${rule}`, flows])),
    groups: new Map(
      groups.map((group) => {
        const { decision, rule, endpoint, direction, protocol, port, peer, process, unit } = group;
        const names = Object.entries({ tcp: 6, udp: 17, icmp: 1, icmpv6: 58, sctp: 132, gre: 47 });
        const name = names.find(([, number]) => number === protocol)?.[0];
        return [
          JSON.stringify([
            ...[decision, rule, endpoint, direction, name, port, peer.name ?? peer.ip],
            ...[process, unit],
          ]),
          { flows: group.flows, newest: group.example.flow },
        ];
      }),
    ),
  };
}

test("random flows through random policies, as the evaluator judges each", async () => {
  const random = seededRandom(11);
  let [denied, audited, allowed, known] = [0, 0, 0, 0];
  for (let round = 0; round < 60; round++) {
    const one = randomCase(random);
    const flows = randomFlows(random, one.world, 400);
    using recorded = recordedFlows(flows);
    const result = await rehearse(
      recorded.history,
      { ...requestOf(one), known: knownIn(one, flows) },
      signal,
    );
    expect(told(result)).toEqual(expected(one, flows));
    denied += result.counts.denied;
    audited += result.counts.audited;
    known += result.counts.names.known;
    allowed += result.counts.judged - result.counts.denied - result.counts.audited;
  }
  // Each was tried often.
  expect(Math.min(denied, audited, allowed, 5 * known)).toBeGreaterThan(300);
});

/** What the node knows of the flows' addresses. */
function knownIn({ world }: RandomCase, flows: readonly Flow[]): KnownAddress[] {
  const peers = new Set(flows.flatMap(({ source, destination }) => [source.ip, destination.ip]));
  return [...peers].flatMap((ip) => {
    const address = parseAddress(ip) as Uint8Array;
    const names = world.names(address);
    return names.length === 0 ? [] : [{ address, names }];
  });
}

const denyAll = (): RandomCase => ({
  ...readPolicies(clusterwide("endpointSelector: {}\ningress: [{}]\negress: [{}]")),
  world: smallWorld,
  management: undefined,
});

test("flows of blocks, of what waits and of what goes on are each judged once", async () => {
  const folder = mkdtempSync(join(tmpdir(), "x0-rehearse-"));
  try {
    const { history, record, expected: kept, traffic } = simulated(folder, { flowsPerSecond: 200 });
    record(90);
    const range = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER };
    const judge = async (of: Pick<RehearseRequest, "sinceMs" | "untilMs">) => {
      const { counts } = await rehearse(history, requestOf(denyAll(), of), signal);
      return counts.judged + counts.attempts.judged + counts.unasked.loopback;
    };
    expect(await judge(range)).toBe(kept.size);
    const [from, to] = [traffic.nowMs - 40_000, traffic.nowMs - 20_000];
    const within = [...kept.values()].filter(
      ({ start, end }) => Date.parse(end) >= from && Date.parse(start) < to,
    );
    expect(await judge({ sinceMs: from, untilMs: to })).toBe(within.length);
    await history.close(1000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("what is bounded says so, and keeps the largest", async () => {
  const random = seededRandom(3);
  const base = randomFlows(random, smallWorld, 1);
  const flows = Array.from({ length: 30_000 }, (_, index): Flow => {
    const host = index % 3 === 0 ? 0 : index;
    const source = { ip: `10.${host >> 16}.${(host >> 8) & 255}.${host & 255}`, port: 40_000, name: null };
    return {
      ...(base[0] as Flow),
      ...{ id: String(index + 1), source, direction: "ingress", place: "local", verdict: "forwarded", netns },
      ...{ destination: { ip: "198.51.100.1", port: 80, name: null }, protocol: "tcp", icmp: null },
      ...{ tcpFlags: ["SYN", "ACK", "PSH"], packets: { sent: 2, received: 2 }, process: null },
    };
  });
  using recorded = recordedFlows(flows);
  const { groups, missing, counts } = await rehearse(
    recorded.history,
    requestOf(denyAll(), { top: 3 }),
    signal,
  );
  expect(counts.denied).toBe(30_000);
  expect(groups).toHaveLength(3);
  expect(groups[0]).toMatchObject({ peer: { ip: "10.0.0.0" }, port: 80, flows: 10_000 });
  expect(missing).toBeGreaterThan(0);
});

test("a rehearsal that nobody waits for ends", async () => {
  const random = seededRandom(5);
  using recorded = recordedFlows(randomFlows(random, smallWorld, 50));
  const gone = AbortSignal.abort();
  await expect(rehearse(recorded.history, requestOf(denyAll()), gone)).rejects.toMatchObject({
    code: "X0_FLOWS_REPLAY_ENDED",
  });
});
