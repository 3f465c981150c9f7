/**
 * The workloads of this host: systemd units and containers, told by the paths of their cgroups. Each has an endpoint
 * number that follows from what it is, so that it has the same one after a restart of the agent.
 *
 * The cgroups are the machine's. An agent in the network namespace of the machine itself is asked for all of them,
 * containers with namespaces of their own too; one in another namespace not for those whose processes are all elsewhere.
 */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { matchesPattern } from "../../capture/selection.ts";
import { type Workload as Names, workloadOf } from "../../insight/workload.ts";
import { cgroupRoot } from "../../kernel/cgroups.ts";
import type { Labels, Workload } from "../model.ts";
import { workloadName } from "./name.ts";

/** Below which units lie: slices in slices, a user's manager, its slices. */
const MOST_LEVELS = 7;
/** A path goes into the kernel's map with its end. */
const MOST_PATH_BYTES = 255;
/** Of the tables' numbers of policies: 29 bits, and the number 0 is the node's. */
const ENDPOINTS = 2 ** 28 - 1;

/** Labels that the configuration gives to some of them. */
export interface WorkloadLabels {
  /** Patterns; `*` stands for any text. */
  readonly unit?: string | undefined;
  readonly container?: string | undefined;
  readonly labels: Labels;
}

/** A look at the hierarchy serves so long: a known unit that starts again is met by the kernel side itself. */
const LOOK_MS = 5000;

/** The workloads of some seconds ago, or, where they are looked for anew, of now. */
export function watchWorkloads(
  given: readonly WorkloadLabels[],
  nowMs: () => number,
): (looksAnew?: boolean) => readonly Workload[] {
  let found: readonly Workload[] = [];
  let lookedMs = Number.NEGATIVE_INFINITY;
  return (looksAnew = false) => {
    if (!looksAnew && nowMs() - lookedMs < LOOK_MS && nowMs() >= lookedMs) return found;
    lookedMs = nowMs();
    const latest = localWorkloads(given);
    // The same ones stay the same object: whoever compares worlds sees it at once.
    if (JSON.stringify(latest) !== JSON.stringify(found)) found = latest;
    return found;
  };
}

/** Those that have a cgroup now, by path. Walks the hierarchy: some 10 µs a cgroup. */
export function localWorkloads(given: readonly WorkloadLabels[], root = cgroupRoot()): Workload[] {
  if (root === undefined) return [];
  const found: { names: Names; path: string; cgroup: number }[] = [];
  const walk = (path: string, outer: Names, level: number): void => {
    for (const folder of foldersIn(join(root, path))) {
      const inner = `${path}/${folder}`;
      const names = workloadOf(inner);
      const isOwn =
        names.container !== outer.container || (names.unit !== outer.unit && names.container === null);
      const cgroup =
        isOwn && Buffer.byteLength(inner) <= MOST_PATH_BYTES ? inodeOf(join(root, inner)) : undefined;
      if (cgroup !== undefined) found.push({ names, path: inner, cgroup });
      if (level < MOST_LEVELS) walk(inner, names, level + 1);
    }
  };
  walk("", { unit: null, container: null }, 1);
  const own = netnsOf("thread-self");
  // A setting that only the machine's own namespace has.
  const isOfMachine = existsSync("/proc/sys/net/core/netdev_max_backlog");
  // One without processes is about to run them, who knows where.
  const isHere = (path: string): boolean => {
    const processes = processesBelow(join(root, path));
    return processes.length === 0 || processes.some((pid) => netnsOf(pid) === own);
  };
  const taken = new Set<number>();
  return found
    .filter(({ path }) => isOfMachine || isHere(path))
    .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    .map(({ names, path, cgroup }): Workload => {
      let endpoint = (crc32(path) % ENDPOINTS) + 1;
      while (taken.has(endpoint)) endpoint = (endpoint % ENDPOINTS) + 1;
      taken.add(endpoint);
      return {
        endpoint,
        name: workloadName(names),
        labels: workloadLabels(names, given),
        cgroup: { path, id: cgroup },
      };
    });
}

/** Of a workload that runs, or ran. */
export function workloadLabels(names: Names, given: readonly WorkloadLabels[]): Labels {
  const { unit, container } = names;
  const matching = given.filter(
    (one) =>
      (one.unit === undefined || (unit !== null && matchesPattern(one.unit, unit))) &&
      (one.container === undefined || (container !== null && matchesPattern(one.container, container))),
  );
  return {
    name: workloadName(names),
    ...(unit === null ? {} : { unit }),
    ...(container === null ? {} : { container }),
    ...Object.assign({}, ...matching.map(({ labels }) => labels)),
  };
}

function processesBelow(folder: string): string[] {
  const inner = foldersIn(folder).flatMap((name) => processesBelow(join(folder, name)));
  return [...processesIn(folder), ...inner];
}

function processesIn(folder: string): string[] {
  try {
    return readFileSync(join(folder, "cgroup.procs"), "latin1")
      .split("\n")
      .filter((pid) => pid !== "");
  } catch (error) {
    // A threaded cgroup tells of none.
    if (isGone(error) || (error as NodeJS.ErrnoException).code === "EOPNOTSUPP") return [];
    throw error;
  }
}

/** Undefined of a process that is gone, or that we may not look at. */
function netnsOf(pid: string): number | undefined {
  try {
    return statSync(`/proc/${pid}/ns/net`).ino;
  } catch (error) {
    if (isGone(error) || ["EACCES", "EPERM", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? ""))
      return undefined;
    throw error;
  }
}

/** Empty where the cgroup has ended meanwhile. */
function foldersIn(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function inodeOf(path: string): number | undefined {
  try {
    return statSync(path).ino;
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return ["ENOENT", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "");
}
