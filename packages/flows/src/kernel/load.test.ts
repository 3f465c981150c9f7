import { readdirSync, readlinkSync } from "node:fs";
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../test/lab/index.ts";
import { loaderObject, verdictOf } from "../testing/loader-object.ts";
import { mapAccess } from "./bpf.ts";
import { type Libc, openLibc } from "./libc.ts";
import { loadObject, NOT_LOADED } from "./load.ts";
import { createMap, mapInfo } from "./map.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf"));

const libc = openLibc();

test("an object of more than 32 functions", () => {
  const twice = (value: number): number => value * 2 + (value > 1000 ? 1 : 0);
  const withOne = (value: number): number => twice(value + 1) ^ 1;
  const sum = Array.from({ length: 40 }, (_, index) => 10 + index)
    .map((number) => withOne(64 ^ number) + number)
    .reduce((one, other) => one + other);
  const loaded = loadObject(libc, loaderObject());
  expect(verdictOf(libc, loaded.programs.x0_many)).toBe(sum);
  expect(verdictOf(libc, loaded.programs.x0_few)).toBe(withOne(64));
  loaded.close();
});

test("two loads count in one map where the second gets the first's", () => {
  const first = loadObject(libc, loaderObject());
  const apart = loadObject(libc, loaderObject());
  const sharing = loadObject(libc, loaderObject(), { maps: { runs: first.maps.runs } });
  const verdicts = [first, apart, sharing].map(({ programs }) => verdictOf(libc, programs.x0_count));
  expect(verdicts).toEqual([1, 1, 2]);
  sharing.close();
  // What was shared stays open.
  expect(mapInfo(libc, first.maps.runs).name).toBe("runs");
  expect(verdictOf(libc, first.programs.x0_count)).toBe(3);
  const seen = libc.map(first.maps.runs, 4096, 0, false);
  expect(seen.view.getBigUint64(0, true)).toBe(3n);
  seen.free();
  for (const each of [first, apart]) each.close();
});

test("a map of another shape is not shared", () => {
  const before = bpfDescriptors();
  const shape = { type: 2, keyBytes: 4, valueBytes: 16, maxEntries: 1, flags: 1 << 10 };
  const other = createMap(libc, { ...shape, name: "runs" });
  expect(() => loadObject(libc, loaderObject(), { maps: { runs: other } })).toThrow(
    /sharing the map runs \(its valueBytes is 16, the programs want 8\)/,
  );
  libc.close(other);
  expect(since(before)).toBe(0);
});

test("maps that hold maps", () => {
  const loaded = loadObject(libc, loaderObject());
  expect(verdictOf(libc, loaded.programs.x0_inner)).toBe(-2);
  putInner(libc, loaded.maps.by_number, 7, 40);
  putInner(libc, loaded.maps.by_place, 3, 2);
  expect(verdictOf(libc, loaded.programs.x0_inner)).toBe(42);
  loaded.close();
});

test("sizes that differ from those compiled in", () => {
  const loaded = loadObject(libc, loaderObject(), { maxEntries: { by_number: 9 } });
  expect(mapInfo(libc, loaded.maps.by_number).maxEntries).toBe(9);
  expect(mapInfo(libc, loaded.maps.by_place).maxEntries).toBe(4);
  loaded.close();
});

test("a missing tracepoint, and what is not asked for, leave the others", () => {
  const before = bpfDescriptors();
  const isLoaded = (programs: Readonly<Record<string, number>>): string[] =>
    Object.keys(programs).filter((name) => programs[name] !== NOT_LOADED);
  const all = loadObject(libc, loaderObject());
  expect(isLoaded(all.programs)).toEqual(["x0_many", "x0_few", "x0_field", "x0_count", "x0_inner"]);
  const one = loadObject(libc, loaderObject(), { programs: ["x0_few", "x0_missing"] });
  expect(isLoaded(one.programs)).toEqual(["x0_few"]);
  expect(since(before)).toBe(2 * 3 + 5 + 1);
  for (const each of [all, one]) each.close();
  expect(since(before)).toBe(0);
});

test("a program that the verifier refuses is named with the line of its source, and nothing stays", () => {
  const before = bpfDescriptors();
  const object = loaderObject();
  // Each read of the count becomes one far behind the map's value.
  const programs = object.programs.map((program) => {
    if (program.name !== "x0_count") return program;
    const instructions = program.instructions.slice();
    const ATOMIC = 0xdb;
    for (let at = 0; at < instructions.length; at += 8)
      if (instructions[at] === ATOMIC) new DataView(instructions.buffer).setInt16(at + 2, 4096, true);
    return { ...program, instructions };
  });
  expect(() => loadObject(libc, { ...object, programs })).toThrow(
    /loading the BPF program x0_count \(return count \? __sync_fetch_and_add\(.*: .*outside of the allowed memory.*\) failed: EACCES/,
  );
  expect(since(before)).toBe(0);
});

/** Puts a map of one number into a map of maps. */
function putInner(to: Libc, outer: number, key: number, value: number): void {
  const inner = createMap(to, { type: 2, keyBytes: 4, valueBytes: 4, maxEntries: 1 });
  const [place, content] = [to.allocate(4), to.allocate(4)];
  content.view.setUint32(0, value, true);
  expect(mapAccess(to).update(inner, place, content)).toBe(0);
  place.view.setUint32(0, key, true);
  content.view.setUint32(0, inner, true);
  expect(mapAccess(to).update(outer, place, content)).toBe(0);
  for (const memory of [place, content]) memory.free();
  to.close(inner);
}

/** The maps, programs and BTFs that this process has open. */
function bpfDescriptors(): ReadonlySet<string> {
  const descriptors = readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return /^anon_inode:\[?(bpf|btf)/.test(readlinkSync(`/proc/self/fd/${fd}`));
    } catch (error) {
      // The one of the folder itself is closed by now.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      return false;
    }
  });
  return new Set(descriptors);
}

/** How many have come since. Other test files may have left some that close by and by. */
function since(before: ReadonlySet<string>): number {
  return bpfDescriptors().difference(before).size;
}
