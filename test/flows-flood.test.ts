/** More connections than any table holds: memory is bounded, losses are counted, what was there before stays right. */
import { beforeEach, expect, test } from "vitest";
import { flood } from "./flows/flood.ts";
import { requireKernel } from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf"));

const small = ["flows.max_flows=32768", "flows.recent_flows=4096"];

test("a flood of distinct tuples is counted or said to be lost, packet by packet", async () => {
  await flood({ flows: 100_000, flowsPerSecond: 20_000, settings: small }, (report) => {
    expect(report.arrived).toBe(report.sent);
    expect(report.counted + report.lost + report.uncounted).toBe(report.arrived);
    expect(report.coveredLost).toBe(report.lost);
    for (const { sent, counted } of [...report.busy, ...report.quiet]) expect(counted).toBe(sent);
    for (const { entries } of report.busy) expect(entries).toBe(1);
  });
});

test("where the kernel expels flows before they are read, each packet of them is told or said to be lost", async () => {
  const settings = ["flows.max_flows=1024", "flows.recent_flows=0"];
  await flood({ flows: 20_000, flowsPerSecond: 20_000, settings }, (report) => {
    expect(report.arrived).toBe(report.sent);
    expect(report.counted + report.lost + report.uncounted).toBe(report.arrived);
    expect(report.coveredLost).toBe(report.lost);
  });
});
