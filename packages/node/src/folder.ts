/**
 * The data folder and what the node itself keeps in it: `token`, `x0.sock`, `x0.db`. Members of the group `x0`,
 * where that group exists, may read the token and use the socket; nobody else may enter.
 */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { coreFail, messageOf, X0Error } from "@x0tta6bl4/core";
import { nodeFail } from "./errors.ts";

export interface DataFolder {
  readonly path: string;
  readonly socket: string;
  readonly database: string;
  readonly tokenFile: string;
}

export function dataFolder(path: string): DataFolder {
  return {
    path,
    socket: join(path, "x0.sock"),
    database: join(path, "x0.db"),
    tokenFile: join(path, "token"),
  };
}

/**
 * Creates the folder where it is missing.
 *
 * @throws X0_NODE_DATA_FOLDER, X0_CORE_DISK_FULL
 */
export function createDataFolder(path: string): DataFolder {
  return inFolder(path, () => {
    if (mkdirSync(path, { recursive: true, mode: 0o750 }) !== undefined) shareWithGroup(path, 0o750);
    if (!statSync(path).isDirectory()) throw new Error("it is not a folder");
    return dataFolder(path);
  });
}

/** The token that opens the console and the API: 256 random bits, made once, kept until the file is deleted. */
export function ensureToken(folder: DataFolder): string {
  return inFolder(folder.path, () => {
    const kept = readToken(folder.tokenFile);
    if (kept !== undefined) return kept;
    const token = randomBytes(32).toString("base64url");
    writeWhole(folder.tokenFile, `${token}\n`, 0o640);
    return token;
  });
}

function readToken(path: string): string | undefined {
  try {
    const token = readFileSync(path, "utf8").trim();
    return /^[\w-]{43}$/.test(token) ? token : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Writes beside and renames, so that a full disk or a crash leaves the old file or none, never half of one. */
function writeWhole(path: string, text: string, mode: number): void {
  const beside = `${path}.${process.pid}.new`;
  try {
    const file = openSync(beside, "wx", mode);
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    shareWithGroup(beside, mode);
    renameSync(beside, path);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}

/** Sets the mode whatever the umask, and the group `x0` where it exists and this process may give files to it. */
export function shareWithGroup(path: string, mode: number): void {
  chmodSync(path, mode);
  if (process.geteuid?.() !== 0) return;
  const line = /^x0:[^:]*:(\d+):/m.exec(readFileSync("/etc/group", "utf8"));
  if (line !== null) chownSync(path, -1, Number(line[1]));
}

function inFolder<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw folderError(path, error);
  }
}

/** What the operating system refused, with the next thing to do. */
function folderError(path: string, error: unknown): X0Error {
  if (error instanceof X0Error) return error;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT")
    return coreFail("X0_CORE_DISK_FULL", `no room left on the disk of ${path}`, {
      hint: "free space there, or use another data folder (--data-dir)",
      cause: error,
    });
  const denied = code === "EACCES" || code === "EPERM";
  return nodeFail("X0_NODE_DATA_FOLDER", `the data folder ${path} cannot be used: ${messageOf(error)}`, {
    hint: denied
      ? "run as its owner, or use another data folder (--data-dir)"
      : "use another data folder (--data-dir)",
    cause: error,
  });
}
