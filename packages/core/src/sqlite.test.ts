import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../test/lab/index.ts";
import { type DatabaseOptions, databaseError, openDatabase } from "./sqlite.ts";

const migrations = ["CREATE TABLE a (x)", "CREATE TABLE b (y); INSERT INTO b VALUES (1)"];
let folder: string;
let path: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "x0-core-"));
  path = join(folder, "test.db");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function version(file: string): unknown {
  using database = new DatabaseSync(file);
  return database.prepare("PRAGMA user_version").get()?.["user_version"];
}

interface Elsewhere extends AsyncDisposable {
  /** `open`, or the code and hint of what was thrown. */
  readonly said: string;
  readonly child: ChildProcess;
}

/** Opens the database in a process of its own, which holds it until disposed. */
async function elsewhere(
  options: DatabaseOptions & { readonly rows?: number },
  prefix: readonly string[] = [],
): Promise<Elsewhere> {
  const script = fileURLToPath(new URL("./testing/database.ts", import.meta.url));
  const [file = "", ...rest] = [...prefix, process.execPath, script, JSON.stringify(options)];
  const child = spawn(file, rest, { stdio: ["pipe", "pipe", "inherit"] });
  const exit = once(child, "exit");
  const [said] = (await once(createInterface(child.stdout), "line")) as [string];
  return {
    said,
    child,
    [Symbol.asyncDispose]: async () => {
      child.stdin.end();
      await exit;
    },
  };
}

test("migrations run once each, in order, and later ones are added", () => {
  using first = openDatabase({ path, migrations: migrations.slice(0, 1) });
  first.exec("INSERT INTO a VALUES ('kept')");
  expect(version(path)).toBe(1);
  first.close();
  for (let opening = 0; opening < 2; opening++) {
    using database = openDatabase({ path, migrations });
    expect(database.prepare("SELECT x, y FROM a, b").all()).toEqual([{ x: "kept", y: 1 }]);
  }
  expect(version(path)).toBe(2);
});

test("the file is in WAL mode", () => {
  using database = openDatabase({ path, migrations: [] });
  expect(database.prepare("PRAGMA journal_mode").get()).toEqual({ journal_mode: "wal" });
});

test("a migration may end in a comment", () => {
  using database = openDatabase({ path, migrations: ["CREATE TABLE a (x) -- the first"] });
  expect(database.isTransaction).toBe(false);
  expect(version(path)).toBe(1);
});

test("a migration that fails leaves the file as the one before made it", () => {
  const broken = [...migrations, "CREATE TABLE c (z); CREATE TABEL d"];
  expect(() => openDatabase({ path, migrations: broken })).toThrow(
    expect.objectContaining({ code: "X0_CORE_DATABASE_UNUSABLE", message: expect.stringContaining("TABEL") }),
  );
  expect(version(path)).toBe(2);
  using database = openDatabase({ path, migrations: [...migrations, "CREATE TABLE c (z)"] });
  expect(database.prepare("SELECT count(*) AS n FROM c").get()).toEqual({ n: 0 });
});

test("processes that open a new file at once share the work", async () => {
  const many = Array.from({ length: 20 }, (_, index) => `CREATE TABLE t${index} (x)`);
  await using stack = new AsyncDisposableStack();
  const opened = await Promise.all(
    Array.from({ length: 3 }, async () => stack.use(await elsewhere({ path, migrations: many })).said),
  );
  expect(opened).toEqual(["open", "open", "open"]);
  expect(version(path)).toBe(20);
});

test("a file of a newer version is refused and left alone", () => {
  openDatabase({ path, migrations }).close();
  expect(() => openDatabase({ path, migrations: migrations.slice(0, 1) })).toThrow(
    expect.objectContaining({
      code: "X0_CORE_DATABASE_NEWER",
      message: `${path} has schema 2, this x0 knows 1`,
      hint: expect.stringContaining("--data-dir"),
    }),
  );
  expect(version(path)).toBe(2);
});

test("a file that is no database, or a torn one, is called corrupt and left alone", () => {
  const text = "this is a letter, not a database\n".repeat(100);
  writeFileSync(path, text);
  const corrupt = expect.objectContaining({
    code: "X0_CORE_DATABASE_CORRUPT",
    hint: expect.stringContaining(`mv ${path} ${path}.broken`),
  });
  expect(() => openDatabase({ path, migrations })).toThrow(corrupt);
  expect(readFileSync(path, "utf8")).toBe(text);

  const torn = join(folder, "torn.db");
  openDatabase({ path: torn, migrations }).close();
  truncateSync(torn, 5000);
  expect(() => openDatabase({ path: torn, migrations })).toThrow(
    expect.objectContaining({ code: "X0_CORE_DATABASE_CORRUPT" }),
  );
});

test("an error of a later statement is told likewise, any other stays itself", () => {
  using database = openDatabase({ path, migrations });
  const thrown = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (error) {
      return databaseError(path, error);
    }
  };
  database.exec("PRAGMA query_only = on");
  expect(thrown(() => database.exec("INSERT INTO a VALUES (1)"))).toMatchObject({
    code: "X0_CORE_DATABASE_UNUSABLE",
    hint: "check its permissions",
    cause: expect.any(Error),
  });
  const other = new TypeError("not from SQLite");
  expect(databaseError(path, other)).toBe(other);
});

test("a missing folder is named as such", () => {
  expect(() => openDatabase({ path: join(folder, "none", "test.db"), migrations })).toThrow(
    expect.objectContaining({
      code: "X0_CORE_DATABASE_UNUSABLE",
      hint: "check that its folder exists and is writable",
    }),
  );
});

test("an exclusive file is one process's until that closes it or dies", async () => {
  const options = { path, migrations, exclusive: true };
  const busy = /^X0_CORE_DATABASE_BUSY: stop the other x0/;
  {
    using _ = openDatabase(options);
    await using other = await elsewhere(options);
    expect(other.said).toMatch(busy);
  }
  await using holder = await elsewhere(options);
  expect(holder.said).toBe("open");
  expect(() => openDatabase(options)).toThrow(expect.objectContaining({ code: "X0_CORE_DATABASE_BUSY" }));
  const exit = once(holder.child, "exit");
  holder.child.kill("SIGKILL");
  await exit;
  openDatabase(options).close();
});

test("a file that others have open cannot be had exclusively", () => {
  using _ = openDatabase({ path, migrations });
  expect(() => openDatabase({ path, migrations, exclusive: true })).toThrow(
    expect.objectContaining({ code: "X0_CORE_DATABASE_BUSY" }),
  );
});

test("a full disk is told as such, at opening and at writing, and nothing is lost", async (context) => {
  await requireKernel(context, "mount");
  // The mount is in a namespace of its own, and goes with the process; the file system is as small as it can be.
  const tiny = (kilobytes: number): readonly string[] => [
    "unshare",
    "--mount",
    ...[
      "sh",
      "-ec",
      'mount -t tmpfs -o size="$1"k tmpfs "$2"; shift 2; exec "$@"',
      "sh",
      `${kilobytes}`,
      folder,
    ],
  ];
  const full = /^X0_CORE_DISK_FULL: free space there/;
  for (const exclusive of [false, true]) {
    for (const kilobytes of [4, 8, 16]) {
      await using opening = await elsewhere({ path, migrations, exclusive }, tiny(kilobytes));
      expect(opening.said, `${kilobytes} kB`).toMatch(full);
    }
    await using writing = await elsewhere({ path, migrations, exclusive, rows: 1000 }, tiny(256));
    expect(writing.said).toMatch(full);
    const [, wrote, kept] = /wrote (\d+), kept (\d+)$/.exec(writing.said) ?? [];
    expect(Number(wrote)).toBeGreaterThan(0);
    expect(kept).toBe(wrote);
    await using roomy = await elsewhere({ path, migrations, exclusive, rows: 10 }, tiny(1024));
    expect(roomy.said).toBe("open");
  }
});
