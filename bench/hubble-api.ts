/**
 * How many flows a second the Hubble API gives to a client in another process that follows them: whole flows of every
 * kind, as the recording thread hands them over, encoded for this client. Nothing may be lost, and the client must have
 * read each flow's number.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { systemClock } from "@x0tta6bl4/core";
import { flowsConfigSchema } from "../packages/flows/src/config.ts";
import { type Hubble, openHubble } from "../packages/flows/src/hubble/hubble.ts";
import { type RecordReader, readBatch } from "../packages/flows/src/recording/record.ts";
import { mixedFlows } from "../packages/flows/src/testing/flows.ts";
import { batchOf } from "../packages/flows/src/testing/records.ts";
import type { Bench } from "./lib/bench.ts";
import { round } from "./lib/statistics.ts";

const config = flowsConfigSchema.parse({});
/** Connections a batch; each is two to four flows of Hubble. */
const BATCH = 2000;
/** Flows that may be on their way to the client: half of what the window keeps. */
const MOST_PENDING = 8192;

interface Progress {
  readonly flows: number;
  readonly cookies: number;
  readonly bytes: number;
  readonly lost: number;
}

interface Given {
  readonly reader: RecordReader;
  readonly flows: number;
  readonly cookies: number;
}

export const run: Bench = async ({ quick, seed, note }) => {
  const hubble = await openHubble({
    listen: "127.0.0.1:0",
    relayListen: "off",
    metrics: config.hubble_metrics,
    version: "0.1.0",
    clock: systemClock,
  });
  const client = fork(fileURLToPath(new URL("lib/hubble-client.ts", import.meta.url)), [
    String(hubble.port("node")),
  ]);
  try {
    await once(client, "message");
    const batches = Array.from({ length: 8 }, (_, index) => given(seed + index));
    // Both sides compiled before it counts.
    await give(hubble, client, batches, 500);
    const cpuBefore = process.cpuUsage();
    const { flows, bytes, elapsedMs } = await give(hubble, client, batches, quick ? 2000 : 10_000);
    const { user, system } = process.cpuUsage(cpuBefore);
    const rate = (flows / elapsedMs) * 1000;
    note(`${flows} flows in ${Math.round(elapsedMs)} ms, ${round(bytes / flows, 3)} bytes each`);
    note(`${round((user + system) / flows, 3)} µs of this process's processors a flow`);
    return { flows_per_s: Math.round(rate) };
  } finally {
    client.disconnect();
    await hubble.close(1000);
  }
};

/** Flows of every kind whose cookies are their numbers, told at their start and later, and what a client must count. */
function given(seed: number): Given {
  const flows = mixedFlows(seed, BATCH).map((flow) => ({ ...flow, cookie: flow.id }));
  const reader = readBatch(
    batchOf(
      flows.flatMap((flow) => [
        { flow, change: "start" as const },
        { flow, change: flow.state === "ended" ? ("end" as const) : ("update" as const) },
      ]),
    ),
  );
  // The opening, the reply, and a RST of each side that sent anything.
  const shown = flows.map(({ packets, tcpFlags }) => {
    const sides = packets.received > 0 ? 2 : 1;
    return tcpFlags.includes("RST") ? 2 * sides : sides;
  });
  return {
    reader,
    flows: shown.reduce((sum, count) => sum + count, 0),
    cookies: shown.reduce((sum, count, index) => sum + count * Number(flows[index]?.cookie), 0),
  };
}

/** Feeds as fast as the client takes, for so long; resolves when it has everything. */
async function give(
  hubble: Hubble,
  client: ChildProcess,
  batches: readonly Given[],
  durationMs: number,
): Promise<{ readonly flows: number; readonly bytes: number; readonly elapsedMs: number }> {
  const progress = (): Promise<Progress> => once(client, "message").then(([message]) => message as Progress);
  const before = await progress();
  const started = performance.now();
  let latest = before;
  let flows = 0;
  let cookies = 0;
  for (let turn = 0; performance.now() - started < durationMs; ) {
    const next = batches[turn % batches.length] as Given;
    if (flows + next.flows - (latest.flows - before.flows) > MOST_PENDING) {
      latest = await progress();
      continue;
    }
    hubble.take(next.reader, []);
    flows += next.flows;
    cookies += next.cookies;
    turn++;
    await new Promise((resolve) => setImmediate(resolve));
  }
  while (latest.flows - before.flows < flows && latest.lost === 0) latest = await progress();
  const elapsedMs = performance.now() - started;
  const got = { flows: latest.flows - before.flows, cookies: latest.cookies - before.cookies };
  if (latest.lost > 0 || got.flows !== flows || got.cookies !== cookies)
    throw new Error(`${flows} flows given, ${got.flows} received, ${latest.lost} losses told`);
  return { flows, bytes: latest.bytes - before.bytes, elapsedMs };
}
