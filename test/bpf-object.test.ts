/** The file of a BPF object, from what `npm run generate` writes to what the loader reads. */
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { seededRandom } from "@x0tta6bl4/core";
import { beforeEach, describe, expect, test } from "vitest";
import { mutated } from "../packages/flows/src/insight/testing/mutation.ts";
import {
  type BpfObject,
  decodeObject,
  objectLimits,
  readObject,
} from "../packages/flows/src/kernel/object.ts";
import { objectFile } from "../packages/flows/src/kernel/object-format.ts";
import { mapNames, programNames } from "../packages/flows/src/testing/generated/loader-layout.ts";
import { loaderFile, loaderObject } from "../packages/flows/src/testing/loader-object.ts";
import { encodeObject, sealed } from "../scripts/generate/encode.ts";

const whole = new Uint8Array(readFileSync(loaderFile));
const contentAt = objectFile.headerBytes + objectFile.checksumBytes;
const damaged = expect.objectContaining({ code: "X0_FLOWS_PROGRAMS_DAMAGED" });
/** A small one: one program of one instruction. */
const least: BpfObject<string, string> = {
  license: "GPL",
  btf: new Uint8Array(3),
  maps: [],
  programs: [
    {
      name: "x0_least",
      type: 3,
      attachType: 0,
      instructions: new Uint8Array(8).fill(0x95, 0, 1),
      functions: new Uint8Array(8),
      lines: new Uint8Array(16),
      relocations: new Uint8Array(),
    },
  ],
};

test("what was written is read", () => {
  const object = loaderObject();
  expect(decodeObject(encodeObject(object))).toEqual(object);
  expect(decodeObject(encodeObject(least))).toEqual(least);
  expect(object.maps.map(({ name, inner }) => [name, inner?.valueBytes])).toEqual([
    ["runs", undefined],
    ["by_number", 4],
    ["by_place", 4],
  ]);
});

test("no byte can be missing, added or changed", () => {
  const random = seededRandom(1);
  for (let round = 0; round < 2000; round++) {
    const bytes = whole.slice();
    const at = random.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 + random.below(255));
    expect(() => decodeObject(bytes)).toThrow(damaged);
    expect(() => decodeObject(whole.subarray(0, at))).toThrow(damaged);
  }
  expect(() => decodeObject(Buffer.concat([whole, new Uint8Array(1)]))).toThrow(damaged);
});

describe("a file with a right checksum is refused", () => {
  const program = least.programs[0]!;
  const load64 = (source: number, immediate: number): Uint8Array => {
    const bytes = new Uint8Array(16);
    bytes.set([0x18, source << 4, 0, 0, immediate]);
    return bytes;
  };
  const withCode = (instructions: Uint8Array): Uint8Array =>
    encodeObject({ ...least, programs: [{ ...program, instructions }] });
  const plain = encodeObject(least);
  test.each<[string, Uint8Array, RegExp]>([
    ["of another version", plain.with(objectFile.magic.length, 2), /has version 2, not 1/],
    ["of another kind", plain.with(0, 0x7f), /does not begin as one/],
    [
      "with more behind its end",
      sealed(Buffer.concat([plain.subarray(contentAt), Buffer.alloc(1)])),
      /goes on/,
    ],
    ["that ends in a length", sealed(plain.subarray(contentAt, -2)), /ends too early/],
    ["with a long name", encodeObject({ ...least, license: "x".repeat(129) }), /a name that is none/],
    ["with a name of control characters", encodeObject({ ...least, license: "\n" }), /a name that is none/],
    ["with half an instruction", withCode(new Uint8Array(12)), /a length that it cannot have/],
    ["with a map that it does not have", withCode(load64(5, 0)), /refers to what its file does not have/],
    ["with a descriptor instead of a map", withCode(load64(1, 3)), /refers to what its file does not have/],
    [
      "with too many maps",
      encodeObject({ ...least, maps: Array(objectLimits.maps + 1).fill(loaderObject().maps[0]) }),
      /has lists of 65, at most 64/,
    ],
    [
      "with too many programs",
      encodeObject({ ...least, programs: Array(objectLimits.programs + 1).fill(program) }),
      /has lists of 257, at most 256/,
    ],
    ["that is too long", new Uint8Array(objectLimits.fileBytes + 1), /has 16777217 bytes/],
  ])("%s", (_, bytes, message) => {
    expect(() => decodeObject(bytes)).toThrow(damaged);
    expect(() => decodeObject(bytes)).toThrow(message);
  });
});

describe("a file on disk", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "x0-object-"));
    return () => rm(folder, { recursive: true });
  });

  test("that is not there, that is of another build, and that was cut", async () => {
    const file = pathToFileURL(join(folder, "some.blob"));
    const names = { maps: mapNames, programs: programNames };
    expect(() => readObject(file, names)).toThrow(/some\.blob cannot be read/);
    await writeFile(file, encodeObject(least));
    expect(() => readObject(file, names)).toThrow(/some\.blob has other maps than this x0 was built for/);
    await writeFile(file, encodeObject({ ...least, maps: loaderObject().maps }));
    expect(() => readObject(file, names)).toThrow(/has other programs/);
    await writeFile(file, whole.subarray(0, -1));
    expect(() => readObject(file, names)).toThrow(damaged);
  });
});

test("fuzzing: 50,000 damaged contents with a right checksum, their lengths among it", () => {
  const random = seededRandom(7);
  const samples = [encodeObject(least), whole].map((bytes) => bytes.subarray(contentAt));
  let read = 0;
  for (let round = 0; round < 50_000; round++) {
    const content = mutated(random, [samples[random.below(8) === 0 ? 1 : 0] as Uint8Array]);
    let object: BpfObject<string, string>;
    try {
      object = decodeObject(sealed(content));
    } catch (error) {
      if ((error as { code?: string }).code !== "X0_FLOWS_PROGRAMS_DAMAGED") throw error;
      continue;
    }
    read++;
    const isSane = object.programs.every(
      ({ name, instructions, functions, lines, relocations }) =>
        name.length <= objectLimits.nameBytes &&
        instructions.length % 8 === 0 &&
        functions.length % 8 === 0 &&
        (lines.length | relocations.length) % 16 === 0,
    );
    if (!isSane || object.maps.length > objectLimits.maps) expect.fail(`round ${round}`);
  }
  expect(read).toBeGreaterThan(5000);
});
