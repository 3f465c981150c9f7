import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { type coreErrors, coreFail, messageOf, type X0Error } from "./errors.ts";

export interface DatabaseOptions {
  /** File path; its folder must exist. */
  readonly path: string;
  /** SQL scripts in order; the file's `user_version` is how many of them have run. Never edit one that shipped. */
  readonly migrations: readonly string[];
  /** Hold the file for this process alone until it is closed: a lock that dies with the process. */
  readonly exclusive?: boolean;
}

/**
 * Opens a database file in WAL mode and brings it up to date, each migration in a transaction of its own.
 *
 * @throws X0_CORE_DATABASE_BUSY, X0_CORE_DATABASE_CORRUPT, X0_CORE_DATABASE_NEWER, X0_CORE_DISK_FULL,
 * X0_CORE_DATABASE_UNUSABLE
 */
export function openDatabase(options: DatabaseOptions): DatabaseSync {
  const { path, migrations, exclusive = false } = options;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path, { timeout: exclusive ? 0 : 5000 });
    if (exclusive) database.exec("PRAGMA locking_mode = EXCLUSIVE");
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    // In exclusive mode the lock is only taken by the first write.
    if (exclusive) database.exec("BEGIN IMMEDIATE; COMMIT");
    migrate(database, path, migrations);
    return database;
  } catch (error) {
    database?.close();
    throw databaseError(path, error);
  }
}

function migrate(database: DatabaseSync, path: string, migrations: readonly string[]): void {
  const readVersion = (): number => Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
  for (let version = readVersion(); version !== migrations.length; version = readVersion()) {
    if (version > migrations.length)
      throw coreFail(
        "X0_CORE_DATABASE_NEWER",
        `${path} has schema ${version}, this x0 knows ${migrations.length}`,
        { hint: "install the newer x0 again, or use another data folder (--data-dir)" },
      );
    database.exec("BEGIN IMMEDIATE");
    // While we waited for the lock another process may have run this migration. The script may end in a comment.
    if (readVersion() === version)
      database.exec(`${migrations[version]}\n; PRAGMA user_version = ${version + 1}`);
    database.exec("COMMIT");
  }
}

/** SQLite's result codes (sqlite.org/rescode.html) as errors with a next step. */
export function databaseError(path: string, error: unknown): X0Error | Error {
  const { errcode } = error as { errcode?: number };
  if (error instanceof Error && typeof errcode !== "number") return error;
  const fail = (code: keyof typeof coreErrors & string, message: string, hint?: string): X0Error =>
    coreFail(code, message, { cause: error, hint });
  const unusable = (hint?: string): X0Error =>
    fail("X0_CORE_DATABASE_UNUSABLE", `${path} cannot be used: ${messageOf(error)}`, hint);
  const full = (): X0Error =>
    fail(
      "X0_CORE_DISK_FULL",
      `no room left on the disk of ${path}`,
      "free space there, or use another data folder (--data-dir)",
    );
  // The WAL's index is a file that is mapped: no room for it is an input/output error.
  if (errcode === SQLITE_IOERR_SHMSIZE) return full();
  switch ((errcode ?? 0) & 0xff) {
    case 5: // SQLITE_BUSY
    case 6: // SQLITE_LOCKED
      return fail(
        "X0_CORE_DATABASE_BUSY",
        `${path} is in use by another process`,
        "stop the other x0, or use another data folder (--data-dir)",
      );
    case 11: // SQLITE_CORRUPT
    case 26: // SQLITE_NOTADB
      return fail(
        "X0_CORE_DATABASE_CORRUPT",
        `${path} is not a readable database: ${messageOf(error)}`,
        `move it away (mv ${path} ${path}.broken) and start again`,
      );
    case 13: // SQLITE_FULL
      return full();
    case 3: // SQLITE_PERM
    case 8: // SQLITE_READONLY
    case 14: // SQLITE_CANTOPEN
      return unusable(
        existsSync(path) ? "check its permissions" : "check that its folder exists and is writable",
      );
    case 10: // SQLITE_IOERR
      return unusable("look for disk errors in the kernel's log (dmesg)");
    default:
      return unusable();
  }
}

const SQLITE_IOERR_SHMSIZE = 10 | (19 << 8);
