import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "@x0tta6bl4/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openSpool, type Spool } from "./spool.ts";

const MIB = 2 ** 20;
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-spool-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const payload = (size: number, fill: number): Buffer => Buffer.alloc(size, fill);
const filesOf = (): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));

/** Writes as another process does, which is killed. */
async function leftBehind(script: string): Promise<void> {
  const module = new URL("./spool.ts", import.meta.url).href;
  const program = `const { openSpool } = await import(${JSON.stringify(module)});
    const spool = openSpool(${JSON.stringify(folder)}, ${64 * MIB}, 1000);
    ${script}
    console.log("written");
    setInterval(() => {}, 1000);`;
  const child = spawn(
    process.execPath,
    ["--conditions=x0tta6bl4-source", "--input-type=module", "-e", program],
    {
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
}

const contents = (spool: Spool): unknown[] =>
  spool.left.map((entry) => [entry.records, entry.bytes, spool.read(entry)?.[0]]);

test("what is appended can be read until it is done; done segments leave the disk", () => {
  const spool = openSpool(folder, 64 * MIB, 1000);
  const entries = [1, 2, 3, 4].map((fill) => spool.append(payload(600, fill), fill));
  expect(entries.map((entry) => spool.read(entry)?.[599])).toEqual([1, 2, 3, 4]);
  expect(filesOf()).toHaveLength(4);
  for (const entry of entries.slice(0, 2)) spool.done(entry);
  expect(filesOf()).toHaveLength(2);
  expect(spool.read(entries[0] as never)).toBeUndefined();
  for (const entry of entries) spool.done(entry);
  spool[Symbol.dispose]();
  expect(readdirSync(folder)).toEqual([]);
});

test("the next process finds what a killed one left, without what was delivered", async () => {
  await leftBehind(`const entries = [1, 2, 3, 4, 5].map((fill) => spool.append(Buffer.alloc(600, fill), 10 * fill));
    spool.done(entries[1]);
    spool.done(entries[4]);`);
  const spool = openSpool(folder, 64 * MIB);
  expect(contents(spool)).toEqual([
    [10, 600, 1],
    [30, 600, 3],
    [40, 600, 4],
  ]);
  expect(spool).toMatchObject({ dropped: 0, damaged: 0 });
  for (const entry of spool.left) spool.done(entry);
  spool[Symbol.dispose]();
  expect(readdirSync(folder)).toEqual([]);
});

test("what is left is left again, as often as processes die", async () => {
  await leftBehind("spool.append(Buffer.alloc(10, 1), 1);");
  await leftBehind("spool.append(Buffer.alloc(10, 2), 1);");
  await leftBehind("spool.append(Buffer.alloc(10, 3), 1);");
  const spool = openSpool(folder, 64 * MIB);
  expect(contents(spool)).toEqual([
    [1, 10, 1],
    [1, 10, 2],
    [1, 10, 3],
  ]);
  expect(readdirSync(folder)).toHaveLength(1);
});

test("a living process keeps its own", () => {
  const ours = openSpool(folder, 64 * MIB);
  ours.append(payload(10, 1), 1);
  const program = `const { openSpool } = await import(${JSON.stringify(new URL("./spool.ts", import.meta.url).href)});
    console.log(openSpool(${JSON.stringify(folder)}, 1000).left.length);`;
  const args = ["--conditions=x0tta6bl4-source", "--input-type=module", "-e", program];
  expect(execFileSync(process.execPath, args, { encoding: "utf8" })).toBe("0\n");
});

test("without room the oldest give way, and are counted", () => {
  using spool = openSpool(folder, 3000, 1000);
  const entries = [1, 2, 3, 4, 5, 6].map((fill) => spool.append(payload(984, fill), 7));
  expect(spool).toMatchObject({ dropped: 21, sizeBytes: 3000 });
  expect(entries.map((entry) => spool.read(entry)?.[0])).toEqual([undefined, undefined, undefined, 4, 5, 6]);
  expect(() => spool.done(entries[0] as never)).not.toThrow();
});

test.each([
  ["a torn record is counted, and those before it are there", (size: number) => size - 1, 1, 3],
  ["a torn header is left out", (size: number) => size - 610, 0, 3],
])("%s", async (_, cut, records, whole) => {
  // The last one has a segment of its own.
  await leftBehind("for (const fill of [1, 2, 3, 4]) spool.append(Buffer.alloc(600, fill), 1);");
  const [last = ""] = filesOf()
    .filter((path) => path.endsWith(".spool"))
    .sort()
    .slice(-1);
  truncateSync(last, cut(statSync(last).size));
  const spool = openSpool(folder, 64 * MIB);
  expect(contents(spool).length).toBe(whole);
  expect(spool.damaged).toBe(records);
});

test("bytes that the disk changed are never handed out", async () => {
  await leftBehind("for (const fill of [1, 2, 3]) spool.append(Buffer.alloc(100, fill), 1);");
  const random = seededRandom(7);
  const paths = filesOf().filter((path) => path.endsWith(".spool"));
  const original = new Map(paths.map((path) => [path, readFileSync(path)]));
  for (let round = 0; round < 100; round++) {
    for (const [path, bytes] of original) {
      const changed = Buffer.from(bytes);
      for (let count = 1 + random.below(4); count > 0; count--)
        changed[random.below(changed.length)] = random.below(256);
      writeFileSync(path, changed.subarray(0, 1 + random.below(changed.length)));
    }
    // Adopting moves it.
    const copy = mkdtempSync(join(tmpdir(), "x0-spool-copy-"));
    cpSync(folder, copy, { recursive: true });
    const spool = openSpool(copy, 64 * MIB);
    for (const entry of spool.left) {
      const bytes = spool.read(entry);
      if (bytes !== undefined) expect(new Set(bytes).size).toBeLessThanOrEqual(1);
    }
    rmSync(copy, { recursive: true });
  }
});

test("foreign files in the folder are left alone", () => {
  writeFileSync(join(folder, "notes.txt"), "mine");
  appendFileSync(join(folder, "1-2-x"), "mine");
  using spool = openSpool(folder, 64 * MIB);
  expect(spool.left).toEqual([]);
  expect(readFileSync(join(folder, "notes.txt"), "utf8")).toBe("mine");
});
