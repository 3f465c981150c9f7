import { readFileSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { readBtf } from "../../../../scripts/generate/btf.ts";
import { requireKernel } from "../../../../test/lab/index.ts";
import { findKernelType } from "./kernel-types.ts";
import { openLibc } from "./libc.ts";
import { objectLimits } from "./object.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const libc = openLibc();

test("types have the numbers that the kernel's BTF gives them", () => {
  const file = new Uint8Array(readFileSync("/sys/kernel/btf/vmlinux"));
  const { types } = readBtf(new DataView(file.buffer));
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
