import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { ruleClass, type Tables } from "../tables.ts";
import { randomCase } from "../testing/random-cases.ts";
import { compile } from "./compile.ts";
import { decode, encode, KEY_BYTES, NO_ID, VALUE_BYTES } from "./encode.ts";

test("each part stands where the kernel looks", () => {
  const address = Uint8Array.from({ length: 16 }, (_, index) => index + 1);
  const { keys, values, count } = encode({
    peers: [
      { address, bits: 120, peer: 7, wider: 9, isNode: false },
      { address, bits: 128, peer: 0, wider: 9, isNode: true },
    ],
    workloads: [{ endpoint: 3, peer: 8, wider: 0 }],
    endpoints: [{ policy: 5, defaultDenyId: 11, rules: 1 }],
    rules: [
      { policy: 5, peer: 0x8000_0001, protocol: 6, port: 443, bits: 24, class: ruleClass.deny, id: 12 },
      { policy: 5, peer: 2, protocol: 6, port: 0, bits: 9, class: ruleClass.none, id: 0 },
    ],
    names: [],
  });
  const hex = (bytes: Uint8Array, size: number): string[] =>
    Array.from({ length: count }, (_, at) =>
      Buffer.from(bytes.subarray(at * size, (at + 1) * size)).toString("hex"),
    );
  const none = "00".repeat(16);
  expect(hex(keys, KEY_BYTES)).toEqual([
    "98000000 00000000 01020304 05060708 090a0b0c 0d0e0f10".replaceAll(" ", ""),
    "a0000000 00000000 01020304 05060708 090a0b0c 0d0e0f10".replaceAll(" ", ""),
    `20000000c0000003${none}`,
    `2000000080000005${none}`,
    `5800000000000006800000010601bb${none.slice(14)}`,
    `490000000000000600000002060000${none.slice(14)}`,
  ]);
  expect(hex(values, VALUE_BYTES)).toEqual([
    "0700000009000000",
    "0000000009000080",
    "0800000000000000",
    "0b00000001000000",
    "020000000c000000",
    `00000000${Buffer.from(Uint32Array.of(NO_ID).buffer).toString("hex")}`,
  ]);
});

test("decodes to what was encoded", () => {
  for (let seed = 1; seed <= 100; seed++) {
    const { set, world, management } = randomCase(seededRandom(seed));
    const { names: _, ...tables }: Tables = compile(set, world, management, { minSaving: 0 });
    expect(decode(encode({ ...tables, names: [] }))).toEqual(tables);
  }
});

test("no key stands twice", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const { set, world, management } = randomCase(seededRandom(seed));
    const { keys, count } = encode(compile(set, world, management, { minSaving: 0 }));
    const different = new Set(
      Array.from({ length: count }, (_, at) => keys.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES).join()),
    );
    expect(different.size).toBe(count);
  }
});
