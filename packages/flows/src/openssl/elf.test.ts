import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { mutated } from "../insight/testing/mutation.ts";
import { findFunctions, functionOffsets } from "./elf.ts";
import { probedSymbols } from "./probes.ts";
import { elfBytes } from "./testing/elf-bytes.ts";

const inMemory =
  (bytes: Uint8Array) =>
  (at: number, length: number): DataView | undefined =>
    at + length > bytes.length ? undefined : new DataView(bytes.slice(at, at + length).buffer);
const functions = [
  { name: "SSL_read", address: 0x401234 },
  { name: "SSL_write", address: 0x402000, section: 0 },
  { name: "SSL_read_ex", address: 0x402000, type: 1 },
  { name: "SSL_write_ex", address: 0x1234 },
  { name: "SSL_write_earlier", address: 0x401238 },
];

describe("offsets in the file", () => {
  test("of functions that it defines and that some segment maps", () => {
    expect([...(findFunctions(inMemory(elfBytes(functions)), probedSymbols) ?? [])]).toEqual([
      ["SSL_read", 0x1234],
    ]);
  });

  test("of a program without exports, from its full table", () => {
    expect(findFunctions(inMemory(elfBytes(functions, 2)), probedSymbols)?.get("SSL_read")).toBe(0x1234);
  });

  test("none where there are none, undefined where there is no table", () => {
    expect(findFunctions(inMemory(elfBytes([])), probedSymbols)?.size).toBe(0);
    expect(findFunctions(inMemory(elfBytes(functions, 3)), probedSymbols)).toBeUndefined();
    expect(functionOffsets("/etc/hostname", probedSymbols)).toBeUndefined();
  });

  test("of this Node, which carries OpenSSL in itself, as the dynamic linker has them", () => {
    const koffi: typeof import("koffi") = createRequire(import.meta.url)("koffi");
    const program = koffi.load(null);
    const mappings = [...readFileSync("/proc/self/maps", "utf8").matchAll(/^(\w+)-(\w+) \S+ (\w+)/gm)].map(
      (match) => match.slice(1).map((digits) => Number.parseInt(digits, 16)),
    ) as [number, number, number][];
    const expected = probedSymbols.map((name): [string, number] => {
      const address = Number(koffi.address(program.symbol(name, "void *") as never));
      const [start, , offset] = mappings.find(([from, to]) => address >= from && address < to) ?? [0, 0, 0];
      return [name, address - start + offset];
    });
    const found = functionOffsets(process.execPath, probedSymbols);
    expect([...(found ?? [])].toSorted()).toEqual(expected.toSorted());
  });
});

test("fuzzing: 100,000 damaged files, their lengths and offsets among it", () => {
  const random = seededRandom(62);
  const whole = elfBytes(functions);
  let found = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutated(random, [whole]);
    if (random.below(2) === 0) bytes[random.below(64 + 56 + 3 * 64)] = random.below(256);
    const offsets = findFunctions(inMemory(bytes), probedSymbols);
    if (offsets === undefined) continue;
    found += offsets.size;
    for (const [name, offset] of offsets)
      if (!probedSymbols.includes(name) || Number.isNaN(offset))
        expect.fail(`round ${round}: ${name} ${offset}`);
  }
  expect(found).toBeGreaterThan(10_000);
});
