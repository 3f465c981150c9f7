import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { type BtfReader, btfLimits, readEnumerations } from "./btf.ts";
import { enumerationBtf } from "./testing/btf-bytes.ts";
import { mutated } from "./testing/mutation.ts";

const inMemory = (bytes: Uint8Array): BtfReader => ({
  read: (at, length) => bytes.slice(at, at + length),
  close() {},
});
const values: [string, number][] = [
  ["ONE", 1],
  ["MOST", 0xffff_ffff],
];
const every = (): boolean => true;

test("enumerations between types of other kinds, in a file of many pieces", () => {
  const names = Array.from({ length: 3000 }, (_, index) => `kind_${index}`);
  const { bytes } = enumerationBtf(names.map((name) => [name, values]));
  expect(bytes.length).toBeGreaterThan(4 * btfLimits.pieceBytes);
  const found = readEnumerations(inMemory(bytes), every);
  expect([...found.keys()]).toEqual(names);
  for (const enumeration of found.values()) expect([...enumeration]).toEqual(values);
});

test("names and values beyond the limits", () => {
  const long = "x".repeat(btfLimits.nameBytes);
  const many = Array.from({ length: 5000 }, (_, index): [string, number] => [`V${index}`, index]);
  const { bytes } = enumerationBtf([
    [long, values],
    ["many", many],
  ]);
  const found = readEnumerations(inMemory(bytes), (name) => name === "many" || name === long);
  expect([...found.keys()]).toEqual(["many"]);
  expect(found.get("many")?.size).toBe(btfLimits.values);
});

test.each<[string, readonly [number, number][]]>([
  ["another magic number", [[0, 0x9e]]],
  ["another version", [[2, 2]]],
  ["a header of no length", [[4, 0]]],
  ["types beyond the limit", [[15, 0x7f]]],
])("%s", (_, changes) => {
  const bytes = enumerationBtf([["kind", values]]).bytes.slice();
  expect(readEnumerations(inMemory(bytes), every).size).toBe(1);
  for (const [at, byte] of changes) bytes[at] = byte;
  expect(readEnumerations(inMemory(bytes), every).size).toBe(0);
});

test("fuzzing: 100,000 damaged files, their lengths and offsets among it", () => {
  const random = seededRandom(3);
  const whole = enumerationBtf([
    ["first", values],
    ["second", values],
  ]).bytes;
  let named = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutated(random, [whole]);
    if (random.below(3) === 0 && bytes.length > 24) bytes[random.below(24)] = random.below(256);
    for (const [name, found] of readEnumerations(inMemory(bytes), every)) {
      named++;
      const isSane =
        found.size <= btfLimits.values && [name, ...found.keys()].every((text) => /^\w{0,512}$/.test(text));
      if (!isSane) expect.fail(`round ${round}: ${name}`);
    }
  }
  expect(named).toBeGreaterThan(50_000);
});
