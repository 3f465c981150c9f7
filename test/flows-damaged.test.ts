/** Damaged frames: no crash, no wrong count, whether they come by a device or a test run of the programs. */
import { beforeEach, expect, test } from "vitest";
import { type DamageReport, damageByDevice, damageByTestRun } from "./flows/damaged.ts";
import { requireKernel } from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf"));

const COUNT = 10_000;

function right({ seen, lost, differences, ways, expectedOthers }: DamageReport): void {
  expect(seen).toBe(COUNT);
  expect(lost).toEqual({ events: 0, packets: 0, bytes: 0, uncounted: 0 });
  expect(differences).toEqual([]);
  // The frames are of many kinds, and some are beyond recognition.
  expect(ways).toBeGreaterThan(COUNT / 20);
  expect(expectedOthers).toBeGreaterThan(COUNT / 50);
}

test("from a test run of the programs", () => {
  const report = damageByTestRun(20_261_122, COUNT);
  right(report);
  expect(report.others).toBe(report.expectedOthers);
});

test("from a device", async () => {
  right(await damageByDevice(20_261_123, COUNT));
});
