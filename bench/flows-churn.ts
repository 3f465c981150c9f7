/**
 * New connections without end: 20,000 a second, TCP and UDP by turns, six packets and two each, as frames from a
 * process of its own to a device of the agent's namespace. Behind the agent's programs the frames are taken away, so
 * that no stack's work is mixed in. The agent runs with its defaults, history and Hubble included.
 *
 * `unaccounted`: packets sent that are neither in flows nor in the counters of loss, and flows that are missing
 * beyond what lost packets explain. `agent_cpu_pct`: of one core, the process's CPU time and its programs' run time;
 * the kernel's statistics that tell the latter cost something themselves, nothing is subtracted. `rss_mb`: the peak
 * since its start.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { churn, connect, createNamespace, missingKernel, swallow } from "../test/lab/index.ts";
import { type Agent, startAgent } from "./lib/agent.ts";
import type { Bench } from "./lib/bench.ts";
import { corePercent, costLines, costOf, peakResidentMb, runTimeStatistics } from "./lib/cost.ts";
import { round } from "./lib/statistics.ts";

const FLOWS_PER_SECOND = 20_000;
/** How far below its rate the generator may stay. */
const TOLERANCE = 0.02;
/** The agent reads once a second. */
const SETTLE_MS = 10_000;

export const run: Bench = async ({ quick, seed, note }) => {
  const lack = await missingKernel("netns", "nftables", "bpf", "btf");
  if (lack !== undefined) throw new Error(lack);
  const seconds = quick ? 4 : 30;
  await using sender = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(sender, host, { offloads: false });
  await swallow(host, to.name);
  await using agent = await startAgent({}, host);
  await agent.observes(2);

  using _ = runTimeStatistics();
  const flows = FLOWS_PER_SECOND * seconds;
  const before = await host.link(to.name);
  const counted = await accounts(agent);
  await using generator = await churn(from, to, { flowsPerSecond: FLOWS_PER_SECOND, flows, first: seed });
  const cost = costOf(agent.pid);
  const sent = await generator.result;
  agent.assertRunning();
  const spent = cost();
  const after = await host.link(to.name);

  // What the device's queue had no room for never came to this host.
  const arrived = after.received.packets - before.received.packets;
  const refused = sent.packets - arrived;
  if (refused < 0 || refused > sent.packets * TOLERANCE)
    throw new Error(`${sent.packets} packets sent, ${arrived} arrived`);
  const rate = sent.flows / sent.seconds;
  for (const line of costLines(spent, sent.flows, "flow")) note(line);
  if (rate < FLOWS_PER_SECOND * (1 - TOLERANCE))
    throw new Error(`the generator made ${Math.round(rate)} flows a second`);
  const since = await settled(agent, counted, { ...sent, packets: arrived, refused });
  note(
    `${sent.flows} flows, ${sent.packets} packets in ${round(sent.seconds)} s: ${Math.round(rate)} flows/s; ${refused} packets did not arrive`,
  );
  note(
    `counted ${since.flows} flows of ${since.packets} packets; lost ${since.lost} packets, uncounted ${since.uncounted}`,
  );
  note(`ring events lost ${since.ringLost}, records left out ${since.unrecorded}`);
  return {
    unaccounted: unaccounted(since, { ...sent, packets: arrived, refused }),
    agent_cpu_pct: round(corePercent(spent)),
    rss_mb: round(peakResidentMb(agent.pid)),
  };
};

interface Accounts {
  readonly flows: number;
  readonly packets: number;
  readonly lost: number;
  readonly uncounted: number;
  readonly ringLost: number;
  readonly unrecorded: number;
}

interface Sent {
  readonly flows: number;
  /** That arrived. */
  readonly packets: number;
  readonly refused: number;
}

async function accounts(agent: Agent): Promise<Accounts> {
  const total = (name: string): Promise<number> => agent.metric(`x0tta6bl4_${name}_total`);
  return {
    flows: await total("flows"),
    packets: await total("flows_packets"),
    lost: await total("flows_lost_packets"),
    uncounted: await total("flows_insert_failures"),
    ringLost: await total("flows_ring_lost_events"),
    unrecorded: await total("flows_unrecorded"),
  };
}

/** What came in addition, once it accounts for all that was sent or stays as it is. */
async function settled(agent: Agent, before: Accounts, sent: Sent): Promise<Accounts> {
  const until = performance.now() + SETTLE_MS;
  for (;;) {
    const now = await accounts(agent);
    const since = Object.fromEntries(
      Object.entries(now).map(([key, value]) => [key, value - before[key as keyof Accounts]]),
    ) as unknown as Accounts;
    if (unaccounted(since, sent) === 0 || performance.now() > until) return since;
    await sleep(200);
  }
}

function unaccounted(since: Accounts, sent: Sent): number {
  const packets = Math.abs(sent.packets - since.packets - since.lost - since.uncounted);
  const missing = sent.flows - since.flows - since.lost - since.uncounted - sent.refused;
  return packets + Math.max(0, missing);
}
