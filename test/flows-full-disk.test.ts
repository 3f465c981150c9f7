/** A full disk: flows are counted all the same, what history lacks is said to be missing, and it goes on by itself. */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { parseExposition } from "../packages/telemetry/src/testing/exposition.ts";
import {
  type Agent,
  churn,
  connect,
  createNamespace,
  requireKernel,
  run,
  startAgent,
  swallow,
} from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "mount"));

const FLOWS = 60_000;
const FLOWS_PER_SECOND = 15_000;
const DISK = "24m";

async function counted(agent: Agent): Promise<number> {
  const families = parseExposition(await agent.text("/metrics"), "text");
  const names = ["flows_packets", "flows_lost_packets", "flows_insert_failures"];
  return names
    .flatMap((name) => families.get(`x0tta6bl4_${name}_total`)?.samples ?? [])
    .reduce((sum, { value }) => sum + value, 0);
}

const hasTrouble = async (agent: Agent): Promise<boolean> =>
  (await agent.text("/api/v1/health")).includes("free space for");

/** Takes all room that there is. @returns what gives it back */
async function fill(folder: string): Promise<() => Promise<void>> {
  const path = join(folder, "filler");
  const file = await open(path, "w");
  const chunk = Buffer.alloc(4096);
  try {
    for (;;) await file.write(chunk);
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe("ENOSPC");
  }
  await file.close();
  return () => rm(path);
}

test("history misses what a full disk refuses, says so, and goes on", async () => {
  const folder = await mkdtemp(join(tmpdir(), "x0-full-"));
  await run(["mount", "-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", folder]);
  try {
    await using sender = await createNamespace();
    await using host = await createNamespace();
    const [from, to] = await connect(sender, host, { offloads: false });
    await swallow(host, to.name);
    await using agent = await startAgent({ places: host, folder });
    await agent.observes(2);
    const empty = await fill(folder);
    await using first = await churn(from, to, { flows: FLOWS, flowsPerSecond: FLOWS_PER_SECOND });
    const { packets } = await first.result;
    while (!(await hasTrouble(agent))) await sleep(100);
    while ((await counted(agent)) < packets) await sleep(100);
    expect(await counted(agent)).toBe(packets);
    const gaps = async () => (await agent.get<FlowList>("/api/v1/flows?limit=1")).covers.gaps ?? [];

    await empty();
    while (await hasTrouble(agent)) await sleep(100);
    await using second = await churn(from, to, { flows: 10, flowsPerSecond: 1000, first: 900_000 });
    const more = await second.result;
    while ((await counted(agent)) < packets + more.packets) await sleep(100);
    expect(await counted(agent)).toBe(packets + more.packets);
    expect(await gaps()).toEqual([
      expect.objectContaining({ reason: expect.stringMatching(/^\d+ records were not kept: /) }),
    ]);
    expect(await agent.stop()).toBe(130);
  } finally {
    await run(["umount", folder]);
    await rm(folder, { recursive: true });
  }
});
