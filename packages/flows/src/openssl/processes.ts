/** Which processes are a service. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";
import { workloadOf } from "../insight/workload.ts";

export interface ServiceProcess {
  readonly pid: number;
  /** As configured. */
  readonly service: string;
  /** Path of its program, as it sees it. */
  readonly executable: string;
}

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

/** Undefined where the process has ended, is a thread of the kernel, or may not be looked at. */
export function ifAlive<Result>(read: () => Result): Result | undefined {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}
