import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { coreFail, messageOf, type X0Error } from "./errors.ts";

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
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version > migrations.length)
      throw coreFail(
        "X0_CORE_DATABASE_NEWER",
        `${path} has schema ${version}, this x0 knows ${migrations.length}`,
        {
          hint: "install the newer x0 again, or use another data folder (--data-dir)",
        },
      );
    for (const [index, script] of migrations.slice(version).entries())
      database.exec(`BEGIN; ${script}; PRAGMA user_version = ${version + index + 1}; COMMIT`);
    return database;
  } catch (error) {
    database?.close();
    throw databaseError(path, error);
  }
}

/** SQLite's result codes (sqlite.org/rescode.html) as errors with a next step. */
export function databaseError(path: string, error: unknown): X0Error | Error {
  const result = error as { errcode?: number };
  if (error instanceof Error && typeof result.errcode !== "number") return error;
  const options = { cause: error };
  switch ((result.errcode ?? 0) & 0xff) {
    case 5:
    case 6:
      return coreFail("X0_CORE_DATABASE_BUSY", `${path} is in use by another process`, options);
    case 11:
    case 26:
      return coreFail("X0_CORE_DATABASE_CORRUPT", `${path} is not a readable database: ${messageOf(error)}`, {
        ...options,
        hint: `move it away (mv ${path} ${path}.broken) and start again`,
      });
    case 13:
      return coreFail("X0_CORE_DISK_FULL", `no room left on the disk of ${path}`, {
        ...options,
        hint: "free space there, or use another data folder (--data-dir)",
      });
    default:
      return coreFail("X0_CORE_DATABASE_UNUSABLE", `${path} cannot be used: ${messageOf(error)}`, {
        ...options,
        hint: existsSync(path) ? "check its permissions" : "check that its folder exists and is writable",
      });
  }
}
