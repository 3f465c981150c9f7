/** Damaged frames: no crash, no wrong count, whether they come by a device or a test run of the programs. */

import { systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { openCapture } from "../packages/flows/src/capture/capture.ts";
import type { CaptureOptions } from "../packages/flows/src/capture/contract.ts";
import { testRun } from "../packages/flows/src/kernel/bpf.ts";
import { openLibc } from "../packages/flows/src/kernel/libc.ts";
import { shippedPrograms } from "../packages/flows/src/kernel/programs.ts";
import { loadSkeleton } from "../packages/flows/src/kernel/skeleton.ts";
import { kernelWithoutDevices } from "../packages/flows/src/testing/bench-programs.ts";
import { damagedFrames } from "../packages/flows/src/testing/damaged-frames.ts";
import { captureDefaults, observe } from "../packages/flows/src/testing/observed.ts";
import { differences, packetOracle } from "./flows/damaged.ts";
import { connect, createNamespace, frameSender, requireKernel, swallow } from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf"));

const COUNT = Number(process.env["X0_TEST_FRAMES"] ?? 10_000);
const AT_ONCE = 1000;
/** A test run takes no frame that ends within the IP header. */
const SHORTEST_RUN = 54;
const options: CaptureOptions = {
  ...captureDefaults,
  maxFlows: 131_072,
  recentFlows: 131_072,
  ringBytes: 1 << 24,
  services: [
    { protocol: "udp", port: 53, application: "dns" },
    { protocol: "tcp", port: 53, application: "dns" },
    { protocol: "tcp", port: 8080, application: "http" },
  ],
};

test("from a test run of the programs", () => {
  const libc = openLibc();
  const loaded = loadSkeleton(libc, shippedPrograms(), {
    flows: options.maxFlows,
    events: options.ringBytes,
  });
  const silent = { changes() {}, events() {}, record() {} };
  const kernel = kernelWithoutDevices(libc, loaded);
  const capture = openCapture(libc, options, systemClock, silent, kernel);
  const oracle = packetOracle();
  let run = 0;
  for (const frame of damagedFrames(20_261_123, COUNT, SHORTEST_RUN)) {
    oracle.see(frame);
    expect(testRun(libc, loaded.programs.x0_ingress, frame).verdict).toBe(-1);
    if (++run % AT_ONCE === 0) capture.drain();
  }
  capture.read();
  const { flows } = capture.list({ limit: 1_000_000 });
  const { lost, notIp, malformed } = capture.totals();
  expect(lost).toEqual({ events: 0, packets: 0, bytes: 0, uncounted: 0 });
  expect(differences(flows, oracle)).toEqual([]);
  expect(notIp + malformed).toBe(oracle.others);
  capture.close();
});

test("from a device", async () => {
  await using sender = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(sender, host, { offloads: false });
  await swallow(host, to.name);
  using observed = observe({ ...options, namespaces: [host.path] });
  await using frames = await frameSender(from);
  const oracle = packetOracle();
  const before = await host.link(to.name);
  const batch: Uint8Array[] = [];
  for (const frame of damagedFrames(20_261_122, COUNT)) {
    oracle.see(frame);
    batch.push(frame);
    if (batch.length < AT_ONCE) continue;
    await frames.send(batch.splice(0));
    observed.capture.drain();
  }
  await frames.send(batch);
  const arrived = (await host.link(to.name)).received.packets - before.received.packets;
  expect(arrived).toBe(COUNT);
  const flows = observed.flows(host.inode, { limit: 1_000_000 });
  const { lost } = observed.capture.totals();
  expect(lost).toEqual({ events: 0, packets: 0, bytes: 0, uncounted: 0 });
  expect(differences(flows, oracle)).toEqual([]);
  expect(Object.keys(oracle.ways).length).toBeGreaterThan(COUNT / 20);
  expect(oracle.others).toBeGreaterThan(COUNT / 50);
});
