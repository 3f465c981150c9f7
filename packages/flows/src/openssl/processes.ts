/** Which processes are a service, and in which of the files that they have mapped OpenSSL may be. */
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { basename } from "node:path";
import { workloadOf } from "../insight/workload.ts";

export interface ServiceProcess {
  readonly pid: number;
  /** As configured. */
  readonly service: string;
  /** Path of its program, as it sees it. */
  readonly executable: string;
}

/** Of /proc/PID/maps, about 100 bytes a mapping: vm.max_map_count is 65,530. */
const MAX_MAPS_BYTES = 8 * 1024 * 1024;

/**
 * Processes whose systemd unit or program has one of these names. Forgets nothing and remembers nothing: a process
 * may become another program at any time.
 */
export function serviceProcesses(services: readonly string[]): ServiceProcess[] {
  const wanted = new Set(services);
  const found: ServiceProcess[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const executable = ifAlive(() => readlinkSync(`/proc/${pid}/exe`));
    // Threads of the kernel have none.
    if (executable === undefined) continue;
    const service = serviceOf(pid, executable, wanted);
    if (service !== undefined) found.push({ pid, service, executable });
  }
  return found;
}

function serviceOf(pid: number, executable: string, wanted: ReadonlySet<string>): string | undefined {
  const program = basename(executable.replace(/ \(deleted\)$/, ""));
  if (wanted.has(program)) return program;
  // An interpreter of another name: python3 is python3.12.
  const comm = ifAlive(() => readFileSync(`/proc/${pid}/comm`, "utf8"))?.trimEnd();
  if (comm !== undefined && wanted.has(comm)) return comm;
  const cgroup = ifAlive(() => readFileSync(`/proc/${pid}/cgroup`, "utf8"));
  const path = cgroup?.split("\n").find((line) => line.startsWith("0::"));
  const unit = path === undefined ? null : workloadOf(path.slice(3)).unit;
  if (unit === null) return undefined;
  return [unit, unit.replace(/\.service$/, "")].find((name) => wanted.has(name));
}

/** A file whose code the process has mapped. */
export interface MappedFile {
  /** Path as the process sees it. */
  readonly path: string;
  /** It was replaced or deleted since: the file at its path is another one, or none. */
  readonly isGone: boolean;
}

/** Mapped files that may be OpenSSL: libraries of that name, and the program itself. */
export function opensslFiles({ pid, executable }: ServiceProcess): MappedFile[] {
  const maps = ifAlive(() => readStart(`/proc/${pid}/maps`)) ?? "";
  const files = new Map<string, MappedFile>();
  for (const line of maps.split("\n")) {
    // address perms offset dev inode path
    const match = /^\S+ ..x. \S+ \S+ \d+ +(\/.*)$/.exec(line);
    if (match === null) continue;
    const shown = match[1] as string;
    const path = shown.replace(/ \(deleted\)$/, "");
    const isProgram = shown === executable;
    const mayBe = isProgram || /^libssl[-.]/.test(basename(path));
    if (mayBe && !files.has(path)) files.set(path, { path, isGone: path !== shown });
  }
  return [...files.values()];
}

function readStart(path: string): string {
  const fd = openSync(path, "r");
  try {
    const pieces: Buffer[] = [];
    for (let size = 0; size < MAX_MAPS_BYTES; ) {
      const piece = Buffer.alloc(65_536);
      const count = readSync(fd, piece);
      if (count === 0) break;
      pieces.push(piece.subarray(0, count));
      size += count;
    }
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    closeSync(fd);
  }
}

/** Undefined where the process has ended, is a thread of the kernel, or may not be looked at. */
function ifAlive<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}
