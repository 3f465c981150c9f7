/**
 * `npm run -s soak -- [--quick] [--seconds N]`: one agent after the other inside a lab namespace, under traffic of
 * every kind with queries and followers all the while. Some are killed with SIGKILL and started anew on the same
 * folder; the last one runs for most of the time. Every packet must be counted, nothing lost, and memory and open files
 * must not go on growing once all is warm. Then what puts pinned policies in force is killed before each step of an
 * upgrade, and at any moment: no denied packet may be heard, and what holds must be whole. Then what is too large for
 * the tests: a million distinct tuples in a minute, 100,000 damaged frames and 10,000 damaged policies; with `--quick`,
 * as in CI, a tenth of each. A line each; the last is `N passed, N failed, N skipped`.
 */
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { peakResidentMb, residentMb } from "../bench/lib/cost.ts";
import { median } from "../bench/lib/statistics.ts";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { compareReadings } from "../packages/flows/src/policy/testing/compare-readings.ts";
import { parseExposition } from "../packages/telemetry/src/testing/exposition.ts";
import { type DamageReport, damageByDevice, damageByTestRun } from "./flows/damaged.ts";
import { flood } from "./flows/flood.ts";
import {
  type Agent,
  connect,
  createNamespace,
  type Interface,
  missingKernel,
  type Namespace,
  ping,
  startAgent,
  tcpTraffic,
  udpTraffic,
} from "./lab/index.ts";
import { killedSwaps } from "./policy/killed-swaps.ts";

const { values } = parseArgs({
  options: { quick: { type: "boolean", default: false }, seconds: { type: "string" } },
});
const { quick } = values;
const seconds = Number(values.seconds ?? (quick ? 12 : 600));
if (!(seconds > 0)) throw new RangeError(`--seconds is a number above 0, not "${values.seconds}"`);
/** Agents that are killed before the last one. */
const killings = 3;
/** What the collector's rhythm explains. */
const growthLimit = 0.1;
/** How long V8 sizes its heap under such load: before that, growth tells nothing. */
const warmUpMs = 60_000;
/** So that each third has two. */
const STEADY_SAMPLES = 6;
/** Each follower holds one; timers and the pool come and go. */
const fileSlack = 5;

/** A million tuples in a minute. */
const floodFlows = quick ? 100_000 : 1_000_000;
const floodFlowsPerSecond = 17_000;
/**
 * The most resident memory of an agent with default settings, in a flood that fills whatever it has: Node and its
 * threads (110 MB), tables for twice `max_flows` and `recent_flows` (150 MB), records under way to a thread that does
 * not keep up (60 MB, three times as much while their memory grows), what history and Hubble hold (100 MB).
 */
const floodBudgetMb = 600;
const damagedFrames = quick ? 10_000 : 100_000;
const damagedPolicies = quick ? 1_000 : 10_000;

const counts = { passed: 0, failed: 0, skipped: 0 };

function check(name: string, holds: boolean, detail: string): void {
  counts[holds ? "passed" : "failed"]++;
  process.stdout.write(`${holds ? "ok     " : "FAILED "} ${name}: ${detail}\n`);
}

interface Sample {
  readonly residentMb: number;
  readonly openFiles: number;
}

async function sample(pid: number): Promise<Sample> {
  return { residentMb: residentMb(pid), openFiles: (await readdir(`/proc/${pid}/fd`)).length };
}

/** One after the other, with other sizes each time, all to its end on both sides. */
async function traffic(client: Namespace, server: Namespace, { ipv4, ipv6 }: Interface, round: number) {
  const host = round % 2 === 0 ? ipv4 : ipv6;
  const requestBytes = 1 + ((round * 7919) % 200_000);
  await tcpTraffic({ client, server, host, connections: 50, requestBytes, replyBytes: 1000 });
  await udpTraffic({ sender: client, receivers: [server], host, count: 500, sizeBytes: 200, echo: true });
  await tcpTraffic({ client: server, server, host: "127.0.0.1", connections: 20, requestBytes: 10 });
  await udpTraffic({ sender: client, receivers: [], host, port: 9, count: 20, sizeBytes: 10 });
  await ping(client, { host, count: 5 });
}

/** Packets on the wire and on loopback since the namespace was made. */
async function wirePackets(server: Namespace): Promise<number> {
  const links = await server.links();
  return links.reduce(
    (sum, { name, received, sent }) => sum + sent.packets + (name === "lo" ? 0 : received.packets),
    0,
  );
}

async function metric(agent: Agent, name: string): Promise<number> {
  const families = parseExposition(await agent.text("/metrics"), "text");
  return (families.get(name)?.samples ?? []).reduce((sum, { value }) => sum + value, 0);
}

/** Asks and lists until `signal` is aborted. @returns how many answers there were */
async function ask(agent: Agent, signal: AbortSignal): Promise<number> {
  let answers = 0;
  const paths = ["?limit=1000", "?protocol=udp&last=50", "?process=node&since=1m", "/totals"];
  for (; !signal.aborted; answers++) {
    await agent.get<FlowList>(`/api/v1/flows${paths[answers % paths.length]}`);
    await agent.text("/metrics");
    await sleep(100);
  }
  return answers;
}

interface Followed {
  starts: number;
  dropped: number;
}

/** Follows for a while, hangs up, and follows again, until `signal` is aborted. */
async function follow(agent: Agent, signal: AbortSignal, holdMs: number): Promise<Followed> {
  const seen = { starts: 0, dropped: 0 };
  while (!signal.aborted) {
    const call = request({
      socketPath: join(agent.folder, "x0.sock"),
      path: "/api/v1/flows/follow?updates=true",
      agent: false,
    }).end();
    const [response] = (await once(call, "response")) as [IncomingMessage];
    response.setEncoding("utf8").on("data", (text: string) => {
      seen.starts += text.match(/"change":"start"/g)?.length ?? 0;
      seen.dropped += text.match(/^event: dropped$/gm)?.length ?? 0;
    });
    response.on("error", () => undefined);
    await sleep(holdMs, undefined, { signal }).catch(() => undefined);
    call.destroy();
  }
  return seen;
}

async function live(
  agent: Agent,
  name: string,
  { until, leastRounds = 1 }: { readonly until: number; readonly leastRounds?: number },
  [client, server, right]: readonly [Namespace, Namespace, Interface],
): Promise<void> {
  const began = performance.now();
  const end = new AbortController();
  const before = await wirePackets(server);
  const asked = ask(agent, end.signal);
  const following = [500, 1500, 1e9].map((holdMs) => follow(agent, end.signal, holdMs));
  const samples: Sample[] = [];
  let round = 0;
  do {
    await traffic(client, server, right, round++);
    samples.push(await sample(agent.process.pid));
  } while (performance.now() < until || round < leastRounds);
  const sent = (await wirePackets(server)) - before;
  // The agent reads once a second; what it lacks after five is missing.
  let counted = 0;
  for (let read = 0; read < 50 && counted !== sent; read++) {
    await sleep(100);
    counted = await metric(agent, "x0tta6bl4_flows_packets_total");
  }
  end.abort();
  const answers = await asked;
  const followed = await Promise.all(following);
  check(`${name}: packets`, counted === sent, `${counted} counted of ${sent} in ${round} rounds`);
  const lost = ["ring_lost_events", "lost_packets", "insert_failures", "program_lost"];
  const losses = await Promise.all(lost.map((each) => metric(agent, `x0tta6bl4_flows_${each}_total`)));
  check(
    `${name}: losses`,
    losses.every((each) => each === 0),
    `${lost.join(", ")}: ${losses.join(", ")}`,
  );
  const dropped = followed.reduce((sum, each) => sum + each.dropped, 0);
  const starts = followed.at(-1)?.starts ?? 0;
  check(
    `${name}: followers and queries`,
    dropped === 0 && starts > round * 70 && answers > 0,
    `${starts} starts followed, ${dropped} dropped, ${answers} answers`,
  );
  if (samples.length >= STEADY_SAMPLES) steady(name, samples, performance.now() - began >= warmUpMs);
}

/** The first third warms up; then the last must not stand above the middle. */
function steady(name: string, samples: readonly Sample[], isWarm: boolean): void {
  const third = Math.floor(samples.length / 3);
  const middle = samples.slice(third, 2 * third);
  const last = samples.slice(2 * third);
  const [from, to] = [middle, last].map((part) => median(part.map((each) => each.residentMb))) as [
    number,
    number,
  ];
  if (isWarm)
    check(
      `${name}: memory`,
      to <= from * (1 + growthLimit),
      `${from.toFixed(1)} MB, then ${to.toFixed(1)} MB`,
    );
  const [files, then] = [middle, last].map((part) => median(part.map((each) => each.openFiles))) as [
    number,
    number,
  ];
  check(`${name}: open files`, then <= files + fileSlack, `${files}, then ${then}`);
}

async function killsOfPolicies(): Promise<void> {
  const lack = await missingKernel("tcx");
  if (lack !== undefined) {
    counts.skipped++;
    process.stdout.write(`skipped (${lack})\n`);
    return;
  }
  const { kills, steps, broken, heard } = await killedSwaps({
    before: (all) => all.keys().filter((step) => !quick || step % 10 === 0),
    atRandom: quick ? 3 : 30,
    seed: 8,
  });
  check(
    "killed policies",
    broken.length === 0 && !heard,
    `${kills} kills in ${steps.length} steps and at any moment, ${broken.length} left half a policy ${broken.slice(0, 1).join("")}; ${heard ? "a" : "no"} denied packet heard`,
  );
}

async function floods(): Promise<void> {
  await flood({ flows: floodFlows, flowsPerSecond: floodFlowsPerSecond }, async (report, agent) => {
    const { arrived, sent, counted, lost, uncounted, coveredLost, flows } = report;
    check("flood: arrival", arrived === sent, `${arrived} packets of ${sent}`);
    check(
      "flood: packets",
      counted + lost + uncounted === arrived && coveredLost === lost,
      `${counted} counted in ${flows} flows, ${lost} lost, ${uncounted} without room; the API says ${coveredLost} lost`,
    );
    const all = [...report.busy, ...report.quiet];
    const wrong = all.filter((each) => each.counted !== each.sent).length;
    check("flood: established connections", wrong === 0, `${wrong} of ${all.length} are wrong`);
    const split = report.busy.filter(({ entries }) => entries !== 1).length;
    check("flood: connections that went on", split === 0, `${split} are no longer one flow`);
    const peakMb = peakResidentMb(agent.process.pid);
    check(
      "flood: memory",
      peakMb <= floodBudgetMb,
      `${peakMb.toFixed(1)} MB at most, budget ${floodBudgetMb}`,
    );
  });
}

function damage(name: string, report: DamageReport): void {
  const { seen, lost, differences, ways } = report;
  const isLossless = Object.values(lost).every((each) => each === 0);
  check(
    name,
    seen === damagedFrames && isLossless && differences.length === 0,
    `${seen} frames on ${ways} ways; ${differences.length} ways differ ${differences.slice(0, 3).join("; ")}`,
  );
}

function damageToPolicies(): void {
  const { refused, compared, failures } = compareReadings(3, damagedPolicies);
  check(
    "damaged policies",
    failures.length === 0,
    `${refused} of ${damagedPolicies} refused, ${compared} verdicts of the others; ${failures.length} wrong ${failures.slice(0, 1).join("")}`,
  );
}

async function soak(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "x0-soak-"));
  await using client = await createNamespace();
  await using server = await createNamespace();
  // With offloads the device counts buffers, we count segments.
  const [, right] = await connect(client, server, { offloads: false });
  const places = [client, server, right] as const;
  const began = performance.now();
  const options = { folder, places: server };
  const start = async (): Promise<Agent> => {
    const agent = await startAgent(options);
    await agent.observes(2);
    return agent;
  };
  try {
    for (let life = 1; life <= killings; life++) {
      await using agent = await start();
      await live(agent, `life ${life}`, { until: began + (life * seconds * 1000) / 10 }, places);
      await agent.process.stop("SIGKILL");
    }
    await using agent = await start();
    const said = agent.process.output();
    check("after SIGKILL", said.includes("did not end in good order"), "the next start says so");
    const until = began + seconds * 1000;
    await live(agent, "last life", { until, leastRounds: STEADY_SAMPLES }, places);
    const code = await agent.stop();
    check("Ctrl-C", code === 130, `exit ${code}`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

damageToPolicies();
const lack = await missingKernel("netns", "nftables", "bpf", "btf");
if (lack === undefined) {
  await soak();
  await killsOfPolicies();
  await floods();
  damage("damaged frames by test runs", damageByTestRun(1, damagedFrames));
  damage("damaged frames by a device", await damageByDevice(2, damagedFrames));
} else {
  counts.skipped++;
  process.stdout.write(`skipped (${lack})\n`);
}
process.stdout.write(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
