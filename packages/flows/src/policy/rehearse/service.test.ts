/** Rehearsals through the recording thread itself. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { flowsConfigSchema } from "../../config.ts";
import type { RecordingContract } from "../../recording/contract.ts";
import { batchOf } from "../../recording/from-flows.ts";
import { testFlow } from "../../testing/flows.ts";
import { startThread } from "../../thread.ts";
import { compile } from "../compile/compile.ts";
import { clusterwide, readPolicies, smallWorld } from "../testing/small-world.ts";
import { askRecorded, type RecordedTraffic } from "./service.ts";
import { netns, trafficMs } from "./testing/random-traffic.ts";

const range = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER };
const FLOWS = 200;

/** With some flows in its history. */
async function recording(): Promise<RecordedTraffic> {
  const folder = mkdtempSync(join(tmpdir(), "x0-recording-"));
  const { port1, port2 } = new MessageChannel();
  const { channel, stop } = startThread<RecordingContract>("recording/worker", "x0-records", port2);
  onTestFinished(async () => {
    await stop(() => channel.call("close", 1000), 1000);
    port1.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const config = flowsConfigSchema.parse({ hubble_listen: "off", hubble_relay_listen: "off" });
  await channel.call("open", { config, folder, version: "0", startedMs: trafficMs });
  const flows = Array.from({ length: FLOWS }, (_, index) =>
    testFlow({ id: String(index + 1), netns, start: new Date(trafficMs + index).toISOString() }),
  );
  // What comes back is the memory of the batch, when it has been taken.
  const taken = new Promise((resolve) => port1.once("message", resolve));
  port1.postMessage({ batch: batchOf(flows), events: [], isPart: false });
  await taken;
  return askRecorded(() => channel);
}

const request = {
  ...range,
  netns,
  judgeLoopback: false,
  known: [],
  nodes: [],
  tables: compile(readPolicies(clusterwide("endpointSelector: {}\negress: [{}]")).set, smallWorld, undefined),
  workloads: [],
  top: 10,
};

test("the thread that records answers", async () => {
  const recorded = await recording();
  const { signal } = new AbortController();
  expect(await recorded.owners(range, signal)).toEqual([{ unit: "session-1.scope", container: null }]);
  const { counts, groups } = await recorded.rehearse(request, signal);
  expect(counts).toMatchObject({ judged: FLOWS, denied: FLOWS });
  expect(groups).toMatchObject([{ flows: FLOWS, process: "curl", peer: { name: "example.org" } }]);
  const limits = { publicAddresses: 10 };
  const { needs } = await recorded.needs({ ...range, netns, nodes: [], limits }, signal);
  expect(needs).toMatchObject([{ subject: "", isEgress: true, port: 443, flows: FLOWS }]);
});

test("a question whose asker has gone is an error, and the next one is answered", async () => {
  const recorded = await recording();
  await expect(recorded.rehearse(request, AbortSignal.abort())).rejects.toMatchObject({
    code: "X0_FLOWS_REPLAY_ENDED",
  });
  const { counts } = await recorded.rehearse(request, new AbortController().signal);
  expect(counts.denied).toBe(FLOWS);
});
