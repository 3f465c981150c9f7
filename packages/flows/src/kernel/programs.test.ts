import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { flowTableSizes } from "./flow-table.ts";
import { openLibc } from "./libc.ts";
import { loadObject, NOT_LOADED } from "./load.ts";
import { shippedPrograms } from "./programs.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const maxEntries = { ...flowTableSizes(1024), events: 65_536 };

test("this kernel takes all programs", () => {
  const loaded = loadObject(openLibc(), shippedPrograms(), { maxEntries });
  expect(Object.values(loaded.programs)).not.toContain(NOT_LOADED);
  loaded.close();
});

test("a program whose tracepoint the kernel does not have leaves the others", () => {
  const all = shippedPrograms();
  const programs = all.programs.map((program) =>
    program.kernelType?.name === "btf_trace_sock_recv_length"
      ? { ...program, kernelType: { ...program.kernelType, name: "btf_trace_x0_none" } }
      : program,
  );
  const loaded = loadObject(openLibc(), { ...all, programs }, { maxEntries });
  const missing = Object.entries(loaded.programs).filter(([, program]) => program === NOT_LOADED);
  expect(missing.map(([program]) => program)).toEqual(["x0_received"]);
  loaded.close();
});
