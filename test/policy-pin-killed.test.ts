/** Killed in the middle of whatever puts a pinned policy in force: the old one or the new one holds, whole. */
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "./lab/index.ts";
import { killedSwaps } from "./policy/killed-swaps.ts";

const seed = Number(process.env["X0_SEED"] ?? 5);

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "tcx"));

test(`before steps of an upgrade and at any moment (seed ${seed})`, { timeout: 300_000 }, async () => {
  const report = await killedSwaps({
    // Of the upgrade at the start; the soak kills before each.
    before: (steps) => [
      steps.indexOf("pin"),
      steps.lastIndexOf("pin"),
      steps.indexOf("table"),
      steps.indexOf("fill"),
      steps.indexOf("fill") + 1,
      steps.indexOf("begin"),
      steps.indexOf("store.settle"),
    ],
    atRandom: 2,
    seed,
  });
  for (const step of ["attach", "pin", "table", "fill", "put", "store.settle"])
    expect(report.steps).toContain(step);
  expect(report.broken).toEqual([]);
  expect(report.heard).toBe(false);
});
