/** What the loader takes from the running kernel's types, compared with these as we read them. */
import { readFileSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { findKernelType } from "../packages/flows/src/kernel/kernel-types.ts";
import { openLibc } from "../packages/flows/src/kernel/libc.ts";
import { loadObject } from "../packages/flows/src/kernel/load.ts";
import { objectLimits } from "../packages/flows/src/kernel/object.ts";
import { loaderObject, verdictOf } from "../packages/flows/src/testing/loader-object.ts";
import { type BtfType, readBtf } from "../scripts/generate/btf.ts";
import { requireKernel } from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const libc = openLibc();

test("types have the numbers that the kernel's BTF gives them", () => {
  const types = kernelTypes();
  const wanted = [
    { kind: 4, name: "task_struct" },
    { kind: 8, name: "btf_trace_kfree_skb" },
    { kind: 12, name: "bpf_iter_task_file" },
    { kind: 12, name: "tcp_v4_connect" },
    // In whole words, and one more and one less.
    { kind: 8, name: "u8" },
    ...[15, 16, 17].map((length) => ({
      kind: 4,
      name: types.find(({ kind, name }) => kind === 4 && name.length === length)?.name as string,
    })),
  ];
  for (const { kind, name } of wanted) {
    const type = types.find((candidate) => candidate.kind === kind && candidate.name === name);
    expect([name, findKernelType(libc, { kind, name })]).toEqual([name, { id: type?.id, module: 0 }]);
  }
});

test("what the kernel does not have", () => {
  expect(findKernelType(libc, { kind: 4, name: "x0_none" })).toBeUndefined();
  // A struct of the name there is.
  expect(findKernelType(libc, { kind: 8, name: "task_struct" })).toBeUndefined();
  expect(findKernelType(libc, { kind: 4, name: "x".repeat(objectLimits.nameBytes) })).toBeUndefined();
});

test("a field is read where the running kernel has it", () => {
  const types = kernelTypes();
  const task = types.find(({ name, members }) => name === "task_struct" && members.length > 0);
  const offset = (task?.members.find(({ name }) => name === "tgid")?.offset as number) / 8;
  expect(offset).toBeGreaterThan(0);
  const object = loaderObject();
  const loaded = loadObject(libc, object);
  expect(verdictOf(libc, loaded.programs.x0_field)).toBe(offset);
  loaded.close();
  const unrelated = object.programs.map((program) => ({ ...program, relocations: new Uint8Array() }));
  const unfitted = loadObject(libc, { ...object, programs: unrelated });
  expect(verdictOf(libc, unfitted.programs.x0_field)).toBe(0);
  unfitted.close();
});

function kernelTypes(): readonly BtfType[] {
  const file = new Uint8Array(readFileSync("/sys/kernel/btf/vmlinux"));
  return readBtf(new DataView(file.buffer)).types;
}
