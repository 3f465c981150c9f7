import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { bytesOf } from "../testing/frames.ts";
import { quicVersion, recogniseQuic } from "./quic.ts";
import { mutated } from "./testing/mutation.ts";

const be32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 0xff,
  (value >>> 8) & 0xff,
  value & 0xff,
];
const long = (version: number, rest: readonly number[], form = 0xc3): Uint8Array =>
  bytesOf([form], be32(version), rest);
const ids = [8, 1, 2, 3, 4, 5, 6, 7, 8, 0];

// RFC 9001 §A.2 and RFC 9369 §A.2: the protected first packets of their examples.
const v1 = Buffer.from("c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11", "hex");
const v2 = Buffer.from("d76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485", "hex");

test.each<[string, Uint8Array, number | undefined]>([
  ["version 1", v1, quicVersion.v1],
  ["version 2", v2, quicVersion.v2],
  ["a negotiation", bytesOf([0x80], be32(0), ids, be32(1)), 0],
  ["draft 29", long(0xff00_001d, [...ids, 0]), 0xff00_001d],
  ["a reserved version", long(0x1a2a_3a4a, [...ids, 0]), 0x1a2a_3a4a],
  ["an unknown version", long(0x1234_5678, [...ids, 0]), undefined],
  ["a short header", long(1, [...ids, 0], 0x43), undefined],
  ["without the fixed bit", long(1, [...ids, 0], 0x83), undefined],
  ["an id of 21 bytes", long(1, [21, ...new Array(24).fill(1)]), undefined],
  ["a cut id", v1.subarray(0, 14), undefined],
  ["a negotiation without versions", bytesOf([0x80], be32(0), ids), undefined],
  ["a negotiation with half a version", bytesOf([0x80], be32(0), ids, [0, 0]), undefined],
  ["nothing", new Uint8Array(0), undefined],
  ["DNS", Uint8Array.of(0x80, 0x12, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0x61, 0), undefined],
])("%s", (_, bytes, version) => expect(recogniseQuic(bytes)).toBe(version));

test("fuzzing: 100,000 mutated datagrams", () => {
  const random = seededRandom(9000);
  let known = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutated(random, [v1, v2, bytesOf([0x80], be32(0), ids, be32(1))]);
    const version = recogniseQuic(bytes);
    if (version === undefined) continue;
    known++;
    if (bytes.length < 7 || bytes[0]! < 0x80) expect.fail(`round ${round}`);
  }
  expect(known).toBeGreaterThan(20_000);
});

test("random bytes are hardly ever QUIC", () => {
  const random = seededRandom(5);
  let known = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = Uint8Array.from({ length: 40 }, () => random.below(256));
    if (recogniseQuic(bytes) !== undefined) known++;
  }
  expect(known).toBeLessThan(5);
});
