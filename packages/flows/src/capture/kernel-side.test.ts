import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { openLibc } from "../kernel/libc.ts";
import { shippedPrograms } from "../kernel/programs.ts";
import { captureDefaults } from "../testing/observed.ts";
import { openKernelSide } from "./kernel-side.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf", "cgroup2"));

const quiet = { ...captureDefaults, interfaces: ["x0none"] };
const use = "processes that use what others opened";

test("without the tracepoint of a socket's use only that feature is degraded, and says why", () => {
  const withoutUse = (): ReturnType<typeof shippedPrograms> => {
    const all = shippedPrograms();
    const programs = all.programs.map((program) =>
      program.kernelType?.kind === 8
        ? { ...program, kernelType: { ...program.kernelType, name: "btf_trace_x0_none" } }
        : program,
    );
    return { ...all, programs };
  };
  const kernel = openKernelSide(openLibc(), quiet, withoutUse);
  const features = kernel.features().filter(({ name }) => name !== "packets");
  expect(features.filter(({ state }) => state !== "on")).toEqual([
    {
      name: use,
      state: "degraded",
      reason: "the kernel has no tracepoint of a socket's use; it came with Linux 6.3",
    },
  ]);
  kernel.close();
});

test("with it the feature is on", () => {
  const kernel = openKernelSide(openLibc(), quiet);
  expect(kernel.features()).toContainEqual({ name: use, state: "on" });
  kernel.close();
});
