/**
 * The state database `x0.db`. Holding it open is the lock of the data folder, which dies with the process;
 * its table of runs tells the next start whether the last one ended in good order.
 */
import { readFileSync } from "node:fs";
import { type Clock, databaseError, openDatabase, X0Error } from "@x0tta6bl4/core";
import { nodeFail } from "./errors.ts";
import type { DataFolder } from "./folder.ts";

export interface Run {
  readonly version: string;
  readonly startMs: number;
  /** Whether the machine has been started anew since: then the agent need not have crashed. */
  readonly beforeReboot: boolean;
}

export interface Runs {
  /** The run before this one, if it never wrote its end. */
  readonly unclean: Run | undefined;
  /** Writes this run's end and gives the folder free. Idempotent. */
  close(): void;
}

const migrations = [
  `CREATE TABLE runs (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     version TEXT NOT NULL,
     boot_id TEXT NOT NULL,
     start_ms INTEGER NOT NULL,
     stop_ms INTEGER
   ) STRICT`,
];

/** More runs than that say nothing any more. */
const keptRuns = 1000;

/** @throws X0_NODE_ALREADY_RUNNING, X0_CORE_DISK_FULL, X0_CORE_DATABASE_CORRUPT, X0_CORE_DATABASE_NEWER, X0_CORE_DATABASE_UNUSABLE */
export function openRuns(folder: DataFolder, version: string, clock: Clock): Runs {
  const database = lock(folder);
  try {
    const bootId = readBootId();
    const last = database.prepare("SELECT * FROM runs ORDER BY id DESC LIMIT 1").get();
    const { lastInsertRowid: id } = database
      .prepare("INSERT INTO runs (version, boot_id, start_ms) VALUES (?, ?, ?)")
      .run(version, bootId, clock.nowMs());
    database.prepare("DELETE FROM runs WHERE id <= ?").run(Number(id) - keptRuns);
    return {
      unclean:
        last === undefined || last["stop_ms"] !== null
          ? undefined
          : {
              version: String(last["version"]),
              startMs: Number(last["start_ms"]),
              beforeReboot: last["boot_id"] !== bootId,
            },
      close() {
        if (!database.isOpen) return;
        try {
          database.prepare("UPDATE runs SET stop_ms = ? WHERE id = ?").run(clock.nowMs(), id);
        } catch (error) {
          throw databaseError(folder.database, error);
        } finally {
          database.close();
        }
      },
    };
  } catch (error) {
    database.close();
    throw databaseError(folder.database, error);
  }
}

function lock(folder: DataFolder): ReturnType<typeof openDatabase> {
  try {
    return openDatabase({ path: folder.database, migrations, exclusive: true });
  } catch (error) {
    if (!(error instanceof X0Error) || error.code !== "X0_CORE_DATABASE_BUSY") throw error;
    throw nodeFail("X0_NODE_ALREADY_RUNNING", `another agent runs on the data folder ${folder.path}`, {
      hint: "stop that one first, or give this one a folder and a port of its own (--data-dir, --set node.listen=…)",
      cause: error,
    });
  }
}

/** The same value until the machine restarts. */
function readBootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "unknown";
  }
}
