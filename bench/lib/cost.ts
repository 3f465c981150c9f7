/**
 * What an agent costs while it runs: CPU time of its process, run time of its BPF programs, its peak of memory. The
 * kernel tells the programs' run time only where its run-time statistics are on, and these cost each run two readings
 * of the clock themselves; that is left in.
 */
import { readdirSync, readFileSync } from "node:fs";
import { openLibc } from "@x0tta6bl4/flows";
import { enableRunTimeStatistics } from "../../packages/flows/src/kernel/bpf.ts";

/** USER_HZ, in which /proc tells CPU times. */
const TICKS_PER_SECOND = 100;

export interface Cost {
  readonly processSeconds: number;
  readonly bpfSeconds: number;
  readonly seconds: number;
  /** Of the process's threads that still live, by name: V8's own have one name. */
  readonly threads: ReadonlyMap<string, number>;
}

/** Begins to measure the process; call the result for what it has cost since. */
export function costOf(pid: number): () => Cost {
  const from = {
    at: performance.now(),
    process: processSeconds(pid),
    bpf: bpfSeconds(pid),
    threads: threadSeconds(pid),
  };
  return () => ({
    threads: new Map(
      [...threadSeconds(pid)].map(([name, seconds]) => [name, seconds - (from.threads.get(name) ?? 0)]),
    ),
    processSeconds: processSeconds(pid) - from.process,
    bpfSeconds: bpfSeconds(pid) - from.bpf,
    seconds: (performance.now() - from.at) / 1000,
  });
}

/** Of one core, in percent. */
export function corePercent({ processSeconds, bpfSeconds, seconds }: Cost): number {
  return ((processSeconds + bpfSeconds) / seconds) * 100;
}

/**
 * Lines that say where the cost lies, each as a share of a core and by unit of work.
 *
 * @param units of work that were done. @param unit its name
 */
export function costLines(cost: Cost, units: number, unit: string): readonly string[] {
  const line = (what: string, part: number): string =>
    `${what}: ${((part / cost.seconds) * 100).toFixed(2)} % of a core, ${((part / units) * 1e6).toFixed(2)} µs a ${unit}`;
  const threads = [...cost.threads]
    .filter(([, part]) => part / cost.seconds >= 0.002)
    .sort(([, a], [, b]) => b - a);
  return [
    line("BPF programs", cost.bpfSeconds),
    line("process", cost.processSeconds),
    ...threads.map(([name, part]) => `  ${line(name, part)}`),
  ];
}

/** Makes the kernel time each run of each BPF program until it is disposed. @throws without CAP_SYS_ADMIN */
export function runTimeStatistics(): Disposable {
  const libc = openLibc();
  const fd = enableRunTimeStatistics(libc);
  if (fd < 0) throw new Error(`run-time statistics: errno ${-fd}`);
  return { [Symbol.dispose]: () => void libc.close(fd) };
}

/** User and system time of all threads, also of those that have ended. */
function processSeconds(pid: number): number {
  return cpuTime(readFileSync(`/proc/${pid}/stat`, "utf8")).seconds;
}

function threadSeconds(pid: number): ReadonlyMap<string, number> {
  const threads = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8");
    } catch {
      // Ended meanwhile.
      continue;
    }
    const { name, seconds } = cpuTime(stat);
    threads.set(name, (threads.get(name) ?? 0) + seconds);
  }
  return threads;
}

function cpuTime(stat: string): { readonly name: string; readonly seconds: number } {
  // The name may hold spaces and brackets; behind it stand state (field 3) to utime (14) and stime (15).
  const end = stat.lastIndexOf(")");
  const fields = stat.slice(end + 2).split(" ");
  return {
    name: stat.slice(stat.indexOf("(") + 1, end),
    seconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
  };
}

/** Run time of the programs that the process holds by a descriptor, each once. */
export function bpfPrograms(
  pid: number,
): ReadonlyMap<number, { readonly runSeconds: number; readonly runs: number }> {
  const programs = new Map<number, { readonly runSeconds: number; readonly runs: number }>();
  for (const fd of readdirSync(`/proc/${pid}/fdinfo`)) {
    let info: string;
    try {
      info = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
    } catch {
      // Closed meanwhile.
      continue;
    }
    const field = (name: string): number =>
      Number(new RegExp(`^${name}:\\t(\\d+)$`, "m").exec(info)?.[1] ?? Number.NaN);
    if (/^prog_tag:/m.test(info) && /^run_cnt:/m.test(info))
      programs.set(field("prog_id"), { runSeconds: field("run_time_ns") / 1e9, runs: field("run_cnt") });
  }
  return programs;
}

function bpfSeconds(pid: number): number {
  return [...bpfPrograms(pid).values()].reduce((sum, { runSeconds }) => sum + runSeconds, 0);
}

/** Resident memory of the process now, all threads. 1 MB = 10⁶ bytes. */
export function residentMb(pid: number): number {
  return memoryMb(pid, "VmRSS");
}

/** The most that it ever had. */
export function peakResidentMb(pid: number): number {
  return memoryMb(pid, "VmHWM");
}

function memoryMb(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1]) * 1024) / 1e6;
}
