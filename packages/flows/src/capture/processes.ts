/**
 * The processes behind flows. The kernel side remembers name, executable's file name and cgroup when a socket is
 * made or used, so that also a process of 20 ms has them; what /proc adds (the executable's path) is read while
 * the process lives.
 */
import { readFileSync, readlinkSync } from "node:fs";
import type { FlowProcess } from "../flow.ts";
import { processLayout } from "../generated/layout.ts";
import { workloadOf } from "../insight/workload.ts";
import { cString, mapAccess } from "../kernel/bpf.ts";
import type { CgroupPaths } from "../kernel/cgroups.ts";
import type { Libc } from "../kernel/libc.ts";

const REMEMBERED = 4096;
const FRESH_MS = 2000;

export interface Processes {
  /** Reads what can be read now; cheap for 0 and for what is known. */
  note(low: number, high: number): void;
  /** The process with this key (two words as in a flow), null for 0 or where nothing is known any more. */
  get(low: number, high: number): FlowProcess | null;
  close(): void;
}

interface Known {
  readonly process: FlowProcess;
  readonly readAtMs: number;
}

/** @param map descriptor of `processes`. */
export function createProcesses(
  libc: Libc,
  map: number,
  options: { readonly cgroups: CgroupPaths | undefined; readonly nowMs: () => number },
): Processes {
  const { cgroups, nowMs } = options;
  const known = new Map<number, Known>();
  const access = mapAccess(libc);
  const key = libc.allocate(8);
  const value = libc.allocate(processLayout.size);
  const decoder = (at: number, length: number): string => cString(value.bytes.subarray(at, at + length));

  const read = (low: number, high: number): FlowProcess | undefined => {
    key.view.setUint32(0, low, true);
    key.view.setUint32(4, high, true);
    if (access.lookup(map, key, value) < 0) return undefined;
    const pid = high;
    const name = decoder(processLayout.executable, 64);
    const executable = executablePath(pid, name) ?? (name === "" ? null : name);
    const comm = decoder(processLayout.comm, 16);
    const cgroupId = Number(value.view.getBigUint64(processLayout.cgroup, true));
    const cgroup = cgroupOf(pid) ?? cgroups?.pathOf(cgroupId) ?? null;
    return {
      pid,
      // Node names its main thread, which says nothing about the program.
      comm: comm === "MainThread" && name !== "" ? name : comm,
      executable,
      cgroup,
      ...(cgroup === null ? { unit: null, container: null } : workloadOf(cgroup)),
    };
  };

  const find = (low: number, high: number): FlowProcess | null => {
    if (high === 0 && low === 0) return null;
    // pid and start time in 2 ms: distinct for any two processes that ever share a pid.
    const id = high * 2 ** 31 + (low >>> 1);
    const found = known.get(id);
    if (found !== undefined && nowMs() - found.readAtMs < FRESH_MS) return found.process;
    const process = read(low, high);
    if (process === undefined) return found?.process ?? null;
    // A path that was read in its lifetime is worth more than the file name that remains.
    const path = process.executable?.startsWith("/")
      ? process.executable
      : (found?.process.executable ?? process.executable);
    const sameProgram = found === undefined || path === null || path.endsWith(`/${process.executable ?? ""}`);
    const merged = { ...process, executable: sameProgram ? path : process.executable };
    known.delete(id);
    known.set(id, { process: merged, readAtMs: nowMs() });
    if (known.size > REMEMBERED)
      for (const oldest of known.keys()) {
        known.delete(oldest);
        break;
      }
    return merged;
  };

  return {
    note: (low, high) => void find(low, high),
    get: find,
    close() {
      key.free();
      value.free();
    },
  };
}

/** The path behind /proc/PID/exe, if it still is the program that the kernel named. */
function executablePath(pid: number, name: string): string | undefined {
  try {
    const path = readlinkSync(`/proc/${pid}/exe`);
    const clean = path.replace(/ \(deleted\)$/, "");
    return clean.endsWith(`/${name}`) ? clean : undefined;
  } catch (error) {
    if (isGoneOrForbidden(error)) return undefined;
    throw error;
  }
}

function cgroupOf(pid: number): string | undefined {
  try {
    const line = readFileSync(`/proc/${pid}/cgroup`, "utf8")
      .split("\n")
      .find((text) => text.startsWith("0::"));
    return line?.slice(3);
  } catch (error) {
    if (isGoneOrForbidden(error)) return undefined;
    throw error;
  }
}

function isGoneOrForbidden(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ESRCH" || code === "EACCES" || code === "EPERM";
}
