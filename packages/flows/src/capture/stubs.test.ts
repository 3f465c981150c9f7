import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { testRun } from "../kernel/bpf.ts";
import { openLibc } from "../kernel/libc.ts";
import { loadObject } from "../kernel/load.ts";
import { loaderObject } from "../testing/loader-object.ts";
import { stubMaker } from "./stubs.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

test("what only other devices need is loaded when the first of them comes, and goes with the last stub", () => {
  const libc = openLibc();
  let loads = 0;
  const { programs, close } = loadObject(libc, loaderObject(), { programs: ["x0_few"] });
  const verdictOf = (program: number): number => testRun(libc, program, new Uint8Array(64)).verdict;
  const stubs = stubMaker(libc, {
    ingress: programs.x0_few,
    egress: programs.x0_few,
    others() {
      loads++;
      const rest = loadObject(libc, loaderObject(), { programs: ["x0_count", "x0_field"] });
      return { ingress: rest.programs.x0_count, egress: rest.programs.x0_field, close: rest.close };
    },
  });
  expect(stubs.program("ingress", 0, 14)).toBe(programs.x0_few);
  expect(loads).toBe(0);
  // The stub jumps to a program whose own descriptor is closed by now.
  const blue = stubs.program("ingress", 1, 14);
  expect([verdictOf(blue), verdictOf(blue)]).toEqual([1, 2]);
  expect(verdictOf(stubs.program("egress", 0, 0))).toBeGreaterThan(0);
  expect(stubs.program("ingress", 1, 14)).toBe(blue);
  expect(loads).toBe(1);
  expect(stubs.of("ingress")).toEqual([blue]);
  stubs.close();
  close();
});
