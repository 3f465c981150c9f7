/** Connections that are established live through a flood of others: what the agent says of both. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FlowList } from "../../packages/flows/src/flow.ts";
import { ethernet, ipv4, tcp } from "../../packages/flows/src/testing/frames.ts";
import { parseExposition } from "../../packages/telemetry/src/testing/exposition.ts";
import {
  type Agent,
  churn,
  connect,
  createNamespace,
  type FrameSender,
  frameSender,
  startAgent,
  swallow,
} from "../lab/index.ts";

export interface FloodOptions {
  readonly flows: number;
  readonly flowsPerSecond: number;
  readonly settings?: readonly string[];
}

export interface Established {
  /** Sent by both sides, whatever became of it. */
  readonly sent: number;
  /** In all entries of its tuple. */
  readonly counted: number;
  readonly entries: number;
}

export interface FloodReport {
  readonly sent: number;
  readonly arrived: number;
  readonly counted: number;
  readonly lost: number;
  readonly uncounted: number;
  readonly flows: number;
  /** As the API's answers tell it. */
  readonly coveredLost: number;
  /** Connections that went on during the flood, and such that were silent until it was over. */
  readonly busy: readonly Established[];
  readonly quiet: readonly Established[];
}

const EACH = 10;
const BUSY_EVERY_MS = 50;
const SETTLE_MS = 20_000;
const SYN = 0x02;
const ACK = 0x10;
const PUSH = 0x18;

/** @param use is called with the agent when all is over. */
export async function flood(
  { flows, flowsPerSecond, settings = [] }: FloodOptions,
  use: (report: FloodReport, agent: Agent) => Promise<void> | void,
): Promise<void> {
  await using client = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(client, host, { offloads: false });
  await swallow(host, to.name);
  await using agent = await startAgent({ places: host, settings });
  await agent.observes(2);
  await using frames = await frameSender(from);
  const before = (await host.link(to.name)).received.packets;
  const sentBy = new Array<number>(2 * EACH).fill(0);
  const busyOnes = Array.from({ length: EACH }, (_, index) => index);
  const quietOnes = busyOnes.map((index) => EACH + index);
  const say = (
    sender: FrameSender,
    which: readonly number[],
    flags: readonly (readonly [boolean, number])[],
  ) => {
    for (const index of which) sentBy[index] = (sentBy[index] as number) + flags.length;
    return sender.send(which.flatMap((index) => flags.map(([isBack, flag]) => segment(index, isBack, flag))));
  };
  const all = [...busyOnes, ...quietOnes];
  await say(frames, all, [
    [false, SYN],
    [true, SYN | ACK],
    [false, ACK],
  ]);
  const wait = async (isDone: () => Promise<boolean>): Promise<void> => {
    const until = performance.now() + SETTLE_MS;
    while (!(await isDone()) && performance.now() < until) await sleep(100);
  };
  // All of it is known before the flood begins.
  await wait(async () =>
    (await established(agent, all, sentBy)).every(({ sent, counted }) => sent === counted),
  );

  await using generator = await churn(from, to, { flows, flowsPerSecond });
  let isOver = false;
  const sent = generator.result.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await say(frames, busyOnes, [[false, PUSH]]);
    await sleep(BUSY_EVERY_MS);
  }
  const { packets } = await sent;
  await say(frames, all, [
    [true, PUSH],
    [false, ACK],
  ]);
  const arrived = (await host.link(to.name)).received.packets - before;

  const total = async (name: string): Promise<number> => {
    const families = parseExposition(await agent.text("/metrics"), "text");
    return (families.get(`x0tta6bl4_${name}_total`)?.samples ?? []).reduce(
      (sum, { value }) => sum + value,
      0,
    );
  };
  const figures = async () => ({
    counted: await total("flows_packets"),
    lost: await total("flows_lost_packets"),
    uncounted: await total("flows_insert_failures"),
    flows: await total("flows"),
  });
  let said = await figures();
  await wait(async () => {
    said = await figures();
    return said.counted + said.lost + said.uncounted === arrived;
  });
  const { covers } = await agent.get<FlowList>("/api/v1/flows?limit=1");
  await use(
    {
      sent: packets + sentBy.reduce((sum, each) => sum + each, 0),
      arrived,
      ...said,
      coveredLost: covers.lostPackets,
      busy: await established(agent, busyOnes, sentBy),
      quiet: await established(agent, quietOnes, sentBy),
    },
    agent,
  );
}

const portOf = (index: number): number => 20_000 + index;

function segment(index: number, isBack: boolean, flags: number): Uint8Array {
  const [source, destination] = isBack ? ["203.0.113.1", "198.51.100.1"] : ["198.51.100.1", "203.0.113.1"];
  const ports = isBack
    ? { sourcePort: 9000, destinationPort: portOf(index) }
    : { sourcePort: portOf(index), destinationPort: 9000 };
  return ethernet(
    ipv4({ source: source as string, destination: destination as string }, tcp({ ...ports, flags })),
    {
      // Nobody's: the device swallows it all the same.
      destination: [2, 0, 0, 0, 0, 2],
    },
  );
}

async function established(
  agent: Agent,
  which: readonly number[],
  sentBy: readonly number[],
): Promise<readonly Established[]> {
  const { flows } = await agent.get<FlowList>("/api/v1/flows?ip=198.51.100.1&limit=1000");
  return which.map((index) => {
    // Of an entry that began in the middle, who opened it is a guess.
    const entries = flows.filter(({ source, destination }) =>
      [source.port, destination.port].includes(portOf(index)),
    );
    const counted = entries.reduce((sum, { packets }) => sum + packets.sent + packets.received, 0);
    return { sent: sentBy[index] as number, counted, entries: entries.length };
  });
}
