import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { X0Error } from "@x0tta6bl4/core";
import { expect, onTestFinished, test } from "vitest";
import { createDataFolder, ensureToken } from "./folder.ts";
import { startTestAgent, temporaryFolder } from "./testing/agent.ts";

const isRoot = process.geteuid?.() === 0;

test("the folder and its parents are made, closed to others", () => {
  const path = join(temporaryFolder(), "a/b");
  createDataFolder(path);
  expect(statSync(path).mode & 0o777).toBe(0o750);
  expect(createDataFolder(path).path).toBe(path);
});

test("a token is made once, and anew when the file holds none", () => {
  const folder = createDataFolder(join(temporaryFolder(), "data"));
  const token = ensureToken(folder);
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(ensureToken(folder)).toBe(token);
  expect(statSync(folder.tokenFile).mode & 0o777).toBe(0o640);
  writeFileSync(folder.tokenFile, "");
  const next = ensureToken(folder);
  expect(next).not.toBe(token);
  expect(readFileSync(folder.tokenFile, "utf8")).toBe(`${next}\n`);
});

test("a file in the folder's place is said", () => {
  const path = join(temporaryFolder(), "file");
  writeFileSync(path, "");
  expect(() => createDataFolder(path)).toThrow(
    expect.objectContaining({ code: "X0_NODE_DATA_FOLDER", hint: expect.stringContaining("--data-dir") }),
  );
});

test("a database that is none is said and left as it is", async () => {
  const folder = temporaryFolder();
  writeFileSync(join(folder, "x0.db"), "not a database, but long enough to be read as one".repeat(100));
  await expect(startTestAgent({ dataDirectory: folder })).rejects.toMatchObject({
    code: "X0_CORE_DATABASE_CORRUPT",
    hint: expect.stringContaining("mv "),
  });
});

test("a folder that cannot be written is said", async () => {
  // Root may write everywhere but on a read-only file system.
  const folder = isRoot ? mountTiny("ro,size=64k") : temporaryFolder();
  if (!isRoot) chmodSync(folder, 0o500);
  await expect(startTestAgent({ dataDirectory: join(folder, "data") })).rejects.toMatchObject({
    code: "X0_NODE_DATA_FOLDER",
    exit: 1,
    hint: expect.stringContaining("--data-dir"),
  });
});

test.skipIf(!isRoot)(
  "however little room is left, a full disk is said and breaks nothing (needs root, for a tmpfs)",
  async () => {
    const disk = mountTiny("size=256k");
    const data = join(disk, "data");
    const filler = join(disk, "filler");
    const outcomes = new Set<string>();
    for (let free = 0; free <= 96; free += 8) {
      rmSync(data, { recursive: true, force: true });
      fill(filler, free);
      try {
        const { agent } = await startTestAgent({ dataDirectory: data });
        await agent.stop();
        outcomes.add("started");
      } catch (error) {
        outcomes.add(error instanceof X0Error ? error.code : String(error));
        expect(error).toMatchObject({ exit: 1, hint: expect.stringContaining("--data-dir") });
        const left = existsSync(data) ? readdirSync(data) : [];
        expect(left.filter((name) => name.endsWith(".new"))).toEqual([]);
      }
      rmSync(filler);
      const { agent } = await startTestAgent({ dataDirectory: data });
      expect(agent.token).toMatch(/^[\w-]{43}$/);
      await agent.stop();
    }
    expect([...outcomes].sort()).toEqual(["X0_CORE_DISK_FULL", "started"]);
  },
);

function mountTiny(options: string): string {
  const disk = join(temporaryFolder(), "disk");
  mkdirSync(disk);
  execFileSync("mount", ["-t", "tmpfs", "-o", options, "x0-test", disk]);
  onTestFinished(() => {
    execFileSync("umount", [disk]);
  });
  return disk;
}

/** Takes all room but `freeKib`. */
function fill(path: string, freeKib: number): void {
  writeFileSync(path, "");
  const page = Buffer.alloc(4096);
  const reserve = `${path}.reserve`;
  if (freeKib > 0) writeFileSync(reserve, Buffer.alloc(freeKib * 1024));
  try {
    for (;;) writeFileSync(path, page, { flag: "a" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
  rmSync(reserve, { force: true });
}
