/**
 * What observing costs the traffic: streams between two namespaces over veth, of 64-byte datagrams and of TCP, in
 * windows of 250 ms. A window with the agent in its defaults (or with softflowd) on the receiver's side is paired with
 * those before and after it, which have nothing there; the order is random. Kept is its goodput by theirs. Observers
 * are started for their window and ended after it, as their hooks on sockets and on dropped packets would act on other
 * namespaces too.
 *
 * Goodput of datagrams is what the receiving process reads, of TCP the bytes that arrive. What reaches the interface
 * is in the notes: there the observer's work on each packet weighs, and not what its process takes from the others.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@x0tta6bl4/core";
import type { Flow, FlowList } from "../packages/flows/src/flow.ts";
import {
  type Agent,
  connect,
  createNamespace,
  isInstalled,
  missingKernel,
  type Namespace,
  run as runCommand,
  start,
  startAgent,
} from "../test/lab/index.ts";
import type { Bench, BenchOptions } from "./lib/bench.ts";
import { median, quartiles, round } from "./lib/statistics.ts";
import { type Counters, difference, type Stream, startStream, type Window } from "./lib/stream.ts";

/** Starting costs more than running, and is no part of it. */
const SETTLE_MS = 500;
/** A flow table is read once a second. */
const LONGEST_WAIT_MS = 5000;
const POLL_MS = 50;

type StreamKind = "udp64" | "tcp";
type Streams = Readonly<Record<StreamKind, Stream>>;
/** `nothing` once more, as a control of the method. */
type Observer = "agent" | "softflowd" | "nothing";

/** One window of each stream. */
type Windows = Readonly<Record<StreamKind, Window>>;

export const run: Bench = (options) => overhead(options);

/** @param prepare what an agent is to do before each of its windows. */
export async function overhead(
  { quick, seed, note }: BenchOptions,
  prepare: (agent: Agent, sender: Namespace) => Promise<void> = async () => {},
): Promise<Record<string, number | null>> {
  const lack = await missingKernel("netns", "nftables", "bpf", "btf");
  if (lack !== undefined) throw new Error(lack);
  if (!(await isInstalled("iperf3"))) throw new Error("iperf3 is not installed (Debian: iperf3)");
  const observers = await observersHere(quick);
  note(`traffic by ${await versionOf("iperf3")}`);
  if (observers.includes("softflowd")) note(`baseline ${await versionOf("softflowd")}`);
  await using sender = await createNamespace();
  await using receiver = await createNamespace();
  const [, { ipv4: host }] = await connect(sender, receiver);
  const between = { sender, receiver, host };
  await using udp64 = await startStream({ ...between, port: 5201, client: ["-u", "-b", "0", "-l", "64"] });
  await using tcp = await startStream({ ...between, port: 5202, client: [] });
  const streams = { udp64, tcp };
  const random = seededRandom(seed);
  const pairs = quick ? 2 : 20;
  const tally: Tally = { counted: 0, expected: 0 };
  const ratios = new Map<string, number[]>();
  const record = (key: string, value: number): void => {
    ratios.set(key, [...(ratios.get(key) ?? []), value]);
  };
  let before = await windows(streams);
  for (let pair = 0; pair < pairs; pair++)
    for (const observer of shuffled(observers, random.below)) {
      const observed = await observedBy(observer, receiver, streams, tally, (agent) =>
        prepare(agent, sender),
      );
      const after = await windows(streams);
      const bare = (of: (windows: Windows) => number): number => (of(before) + of(after)) / 2;
      for (const [name, of] of Object.entries(goodputs)) {
        record(`${observer} ${name}`, of(observed) / bare(of));
        record(`bare ${name}`, of(after));
      }
      before = after;
    }
  for (const [key, values] of ratios) note(described(key, values));
  const kept = (key: string): number | undefined => {
    const values = ratios.get(key);
    return values === undefined ? undefined : median(values);
  };
  const [ours = 0, theirs] = [kept("agent udp64"), kept("softflowd udp64")];
  return {
    udp64_kept: round(ours),
    udp64_loss_vs_softflowd:
      theirs === undefined || theirs >= 1 ? null : round(Math.max(0, 1 - ours) / (1 - theirs)),
    tcp_kept: round(kept("agent tcp") ?? 0),
    counted_pct: round((100 * tally.counted) / tally.expected, 9),
  };
}

async function observersHere(quick: boolean): Promise<readonly Observer[]> {
  const observers: Observer[] = (await isInstalled("softflowd")) ? ["agent", "softflowd"] : ["agent"];
  return quick ? observers : [...observers, "nothing"];
}

async function windows(streams: Streams): Promise<Windows> {
  return { udp64: await streams.udp64.window(), tcp: await streams.tcp.window() };
}

async function observedBy(
  observer: Observer,
  receiver: Namespace,
  streams: Streams,
  tally: Tally,
  prepare: (agent: Agent) => Promise<void>,
): Promise<Windows> {
  if (observer === "nothing") return windows(streams);
  if (observer === "softflowd") {
    const command = ["softflowd", "-d", "-i", "eth0", "-c", "none", "-p", "/dev/null"];
    await using running = await start(command, /starting data collection/, { places: receiver });
    await sleep(SETTLE_MS);
    const measured = await windows(streams);
    await running.stop();
    return measured;
  }
  await using agent = await startAgent({ places: receiver });
  await agent.observes(2);
  await prepare(agent);
  await sleep(SETTLE_MS);
  const before = streams.udp64.counters();
  const udp64 = await streams.udp64.window();
  const between = streams.udp64.counters();
  const tcp = await streams.tcp.window();
  await counted(agent, () => expectedOf(before, between, streams.tcp.counters()), tally);
  await agent.stop();
  return { udp64, tcp };
}

interface Packets {
  readonly udp: number;
  readonly tcp: number;
}

interface Tally {
  counted: number;
  expected: number;
}

/** With segmentation offload an interface counts buffers; TCP itself counts segments. */
function expectedOf(before: Counters, between: Counters, after: Counters): Packets {
  const { receivedPackets, sentPackets, segmentsSent } = difference(between, before);
  return {
    // Silent as it is, the other stream has a few segments, each a packet of its own.
    udp: receivedPackets + sentPackets - segmentsSent,
    tcp: difference(after, before).segmentsSent,
  };
}

/** Waits for the flow table's next read. @throws unless it then has every packet, and none that was not there */
async function counted(agent: Agent, expect: () => Packets, tally: Tally): Promise<void> {
  for (let tries = 1; ; tries++) {
    const expected = expect();
    const { flows } = await agent.get<FlowList>("/api/v1/flows?limit=10000");
    const found = { udp: packetsOf(flows, "udp"), tcp: packetsOf(flows, "tcp") };
    const isEqual = found.udp === expected.udp && found.tcp === expected.tcp;
    if (!isEqual && tries < LONGEST_WAIT_MS / POLL_MS) {
      await sleep(POLL_MS);
      continue;
    }
    tally.counted += found.udp + found.tcp;
    tally.expected += expected.udp + expected.tcp;
    if (!isEqual || expected.udp === 0 || expected.tcp === 0)
      throw new Error(`of ${JSON.stringify(expected)} packets the flow table has ${JSON.stringify(found)}`);
    return;
  }
}

function packetsOf(flows: readonly Flow[], wanted: string): number {
  return flows
    .filter(({ place, protocol }) => place !== "loopback" && protocol === wanted)
    .reduce((sum, { packets }) => sum + packets.sent + packets.received, 0);
}

/** Of a second: datagrams that were read, bytes of TCP, datagrams that arrived at the interface. */
const goodputs: Readonly<Record<string, (windows: Windows) => number>> = {
  udp64: ({ udp64 }) => udp64.counted.datagramsRead / udp64.seconds,
  tcp: ({ tcp }) => tcp.counted.receivedBytes / tcp.seconds,
  arriving: ({ udp64 }) => udp64.counted.receivedPackets / udp64.seconds,
};

function described(key: string, values: readonly number[]): string {
  const [lower, upper] = quartiles(values);
  const figures = [median(values), lower, upper].map((value) => round(value, 4));
  return `${key.padEnd(18)} ${figures[0]} [${figures[1]} – ${figures[2]}], n=${values.length}`;
}

function shuffled<T>(values: readonly T[], below: (bound: number) => number): readonly T[] {
  const list = [...values];
  for (let last = list.length - 1; last > 0; last--) {
    const other = below(last + 1);
    [list[last], list[other]] = [list[other] as T, list[last] as T];
  }
  return list;
}

async function versionOf(program: "iperf3" | "softflowd"): Promise<string> {
  const flag = program === "iperf3" ? "--version" : "-h";
  const { stdout, stderr } = await runCommand(["sh", "-c", `${program} ${flag} || true`]);
  return /iperf \S+|softflowd version \S+/.exec(stdout + stderr)?.[0].replace(/\.$/, "") ?? program;
}
