/**
 * 10,000 HTTP requests a second over 100 connections that stay, from one namespace to a server in another, where the
 * agent runs with HTTP insight on the server's port and all else by default.
 *
 * `agent_cpu_pct`: of one core, the process's CPU time and its programs' run time; the kernel's statistics that tell
 * the latter cost something themselves, nothing is subtracted. `latency_added_pct`: of the median latency in pairs of
 * windows, in random order, one with an agent attached and one without; the median of the pairs. `p99_added_pct` is
 * the same of the 99th percentile.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { seededRandom } from "@x0tta6bl4/core";
import {
  connect,
  createNamespace,
  missingKernel,
  type Namespace,
  type Script,
  startScript,
} from "../test/lab/index.ts";
import { type Agent, startAgent } from "./lib/agent.ts";
import type { Bench } from "./lib/bench.ts";
import { corePercent, costLines, costOf, runTimeStatistics } from "./lib/cost.ts";
import type { HttpClientContract, HttpReport, HttpWindow } from "./lib/http-client.ts";
import type { HttpServerContract } from "./lib/http-server.ts";
import { median, round } from "./lib/statistics.ts";

const REQUESTS_PER_SECOND = 10_000;
const CONNECTIONS = 100;
const PORT = 8080;
/** The agent reads once a second. */
const SETTLE_MS = 10_000;

type Client = Script<HttpClientContract>;

export const run: Bench = async ({ quick, seed, note }) => {
  const lack = await missingKernel("netns", "nftables", "bpf", "btf");
  if (lack !== undefined) throw new Error(lack);
  const random = seededRandom(seed);
  const pairs = quick ? 1 : 12;
  const seconds = quick ? 1 : 3;
  await using left = await createNamespace();
  await using host = await createNamespace();
  const [, { ipv4 }] = await connect(left, host);
  const script = (name: string): URL => new URL(`./lib/http-${name}.ts`, import.meta.url);
  await using _server = await startScript<HttpServerContract>(
    script("server"),
    { host: ipv4, port: PORT },
    { places: host },
  );
  await using client = await startScript<HttpClientContract>(
    script("client"),
    { host: ipv4, port: PORT, connections: CONNECTIONS },
    { places: left },
  );
  const window = (length: number): Promise<HttpReport> =>
    measured(client, { seconds: length, requestsPerSecond: REQUESTS_PER_SECOND });
  // Both ends compiled.
  await window(seconds);

  const added = { median: [] as number[], p99: [] as number[] };
  for (let pair = 0; pair < pairs; pair++) {
    const isFirst = random.below(2) === 0;
    const without = isFirst ? undefined : await window(seconds);
    const withAgent = await attached(host, () => window(seconds));
    const base = without ?? (await window(seconds));
    added.median.push((withAgent.medianUs / base.medianUs - 1) * 100);
    added.p99.push((withAgent.p99Us / base.p99Us - 1) * 100);
    note(
      `pair ${pair + 1}: median ${round(base.medianUs)} µs, attached ${round(withAgent.medianUs)}; p99 ${round(base.p99Us)}, ${round(withAgent.p99Us)}`,
    );
  }

  const percent = await attached(host, async (agent) => {
    using _ = runTimeStatistics();
    const before = await requests(agent);
    const cost = costOf(agent.pid);
    const { requests: sent, seconds: took } = await window(quick ? 3 : 20);
    agent.assertRunning();
    const spent = cost();
    const counted = (await settled(agent, before + sent)) - before;
    if (counted !== sent) throw new Error(`${sent} requests sent, ${counted} counted`);
    note(`${sent} requests in ${round(took)} s: ${Math.round(sent / took)} a second, each counted`);
    for (const line of costLines(spent, sent, "request")) note(line);
    return corePercent(spent);
  });
  return {
    agent_cpu_pct: round(percent),
    latency_added_pct: round(median(added.median)),
    p99_added_pct: round(median(added.p99)),
  };
};

/** Runs with an agent that has been observing the connections for a while. */
async function attached<T>(host: Namespace, use: (agent: Agent) => Promise<T>): Promise<T> {
  await using agent = await startAgent({ X0_FLOWS_REQUEST_PORTS: `http:${PORT}` }, host);
  await agent.observes(2);
  // Reads its first flows, and compiles.
  await sleep(1000);
  return await use(agent);
}

function measured(client: Client, window: HttpWindow): Promise<HttpReport> {
  return new Promise((resolve, reject) => {
    // Each report settles the window under way; those before have been settled.
    client.on(resolve);
    client.result.catch(reject);
    client.order(window);
  });
}

const requests = (agent: Agent): Promise<number> =>
  agent.metric("x0tta6bl4_flows_requests_total", { application: "http" });

/** The count once it is as expected, or stays another. */
async function settled(agent: Agent, expected: number): Promise<number> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const now = await requests(agent);
    if (now === expected || performance.now() > until) return now;
    await sleep(200);
  }
}
