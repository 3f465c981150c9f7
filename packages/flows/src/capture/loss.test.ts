/** What cannot be kept is said: expelled flows, a full ring, loads that a signal interrupts. */
import { spawnSync } from "node:child_process";
import { systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import { createNamespace, requireKernel } from "../../../../test/lab/index.ts";
import { captureOptions, flowsConfigSchema } from "../config.ts";
import { flowTableSizes } from "../kernel/flow-table.ts";
import { openLibc } from "../kernel/libc.ts";
import { loadObject } from "../kernel/load.ts";
import { shippedPrograms } from "../kernel/programs.ts";
import { benchKernel, benchMode } from "../testing/bench-programs.ts";
import { observe } from "../testing/observed.ts";
import { openCapture } from "./capture.ts";

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf"));

test("packets of flows that were expelled without a word are counted as lost", async () => {
  await using host = await createNamespace();
  // The ring holds the events of 25 flows.
  using observed = observe({ namespaces: [host.path], maxFlows: 1024, recentFlows: 0, ringBytes: 4096 });
  const sent = 6000;
  // One datagram to each of many ports: each a flow, and each answered by a port unreachable.
  await host.exec([
    "bash",
    "-c",
    `for port in $(seq 1 ${sent}); do echo -n x 2>/dev/null >/dev/udp/127.0.0.1/$port; done; true`,
  ]);
  const flows = observed.flows(host.inode);
  const totals = observed.capture.totals();
  const seen = totals.traffic
    .filter((one) => one.protocol === "udp" && one.place === "loopback")
    .reduce((sum, one) => sum + one.packets, 0);
  expect(flows.length).toBeLessThan(sent);
  expect(totals.lost.packets).toBeGreaterThan(0);
  expect(totals.lost.packets).toBeGreaterThanOrEqual(sent - seen);
  expect(totals.lost.bytes).toBeGreaterThan(totals.lost.packets * 28);
  expect(observed.capture.list({ limit: 1 }).covers.lostPackets).toBe(totals.lost.packets);
});

test("flows that had to make room are told with their last figures", () => {
  const libc = openLibc();
  const options = captureOptions(flowsConfigSchema.parse({ max_flows: 1024, recent_flows: 0 }));
  const { kernel, walk } = benchKernel(libc, options);
  const capture = openCapture(libc, options, systemClock, { changes() {}, events() {}, record() {} }, kernel);
  const flows = 20_000;
  for (let seed = 0; seed < flows; seed += 1000) {
    for (let again = 0; again < 2; again++) walk({ mode: benchMode.fresh, rounds: 1000, flows: 1, seed });
    capture.drain();
  }
  const { active, traffic, lost } = capture.totals();
  expect(active).toBe(1024);
  expect(lost).toEqual({ events: 0, packets: 0, bytes: 0, uncounted: 0 });
  expect(traffic.reduce((sum, one) => sum + one.packets, 0)).toBe(2 * flows);
  capture.close();
});

test("a ring without room is counted, and its flows are found all the same", () => {
  const libc = openLibc();
  const options = captureOptions(flowsConfigSchema.parse({ max_flows: 8192 }));
  const { kernel, walk } = benchKernel(libc, { maxFlows: options.maxFlows, ringBytes: 4096 });
  const capture = openCapture(
    libc,
    { ...options, ringBytes: 4096 },
    systemClock,
    { changes() {}, events() {}, record() {} },
    kernel,
  );
  walk({ mode: benchMode.fresh, rounds: 500, flows: 1, seed: 0 });
  const { active, lost } = capture.totals();
  expect(active).toBe(500);
  // 4096 bytes hold 25 events of 152 bytes and an 8-byte header.
  expect(lost).toEqual({ events: 475, packets: 0, bytes: 0, uncounted: 0 });
  capture.close();
});

test("loading survives the end of a child, which makes the verifier give up", () => {
  const libc = openLibc();
  for (let round = 0; round < 12; round++) {
    spawnSync("true");
    loadObject(libc, shippedPrograms(), { maxEntries: { ...flowTableSizes(1024), events: 4096 } }).close();
  }
});
