/** Throw-away cgroups below the v2 mount, named `x0lab-<pid>-<n>` like the namespaces. */
import { mkdirSync, readdirSync, readFileSync, rmdirSync, statSync, watch, writeFileSync } from "node:fs";
import { isAlive, type Place } from "./process.ts";

export interface Cgroup extends Place, AsyncDisposable {
  /** Of its folder. */
  readonly path: string;
  /** Below the v2 root, as the product shows it: `/x0lab-12-1`. */
  readonly name: string;
  /** What `bpf_get_current_cgroup_id` gives: the folder's inode. */
  readonly id: bigint;
}

/** The v2 mount: /sys/fs/cgroup, or /sys/fs/cgroup/unified where v1 is mounted too. */
export function findCgroup2(): string | undefined {
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    // mount-id parent major:minor root MOUNT-POINT OPTIONS [optional…] - TYPE source super-options (proc(5))
    const [mount = "", kind = ""] = line.split(" - ");
    const [, , , , point, options] = mount.split(" ");
    if (kind.startsWith("cgroup2 ") && options?.split(",").includes("rw")) return point;
  }
  return undefined;
}

/** Needs `requireKernel(…, "cgroup2")`. */
export function createCgroup(): Cgroup {
  const root = findCgroup2();
  if (root === undefined) throw new Error("no writable cgroup v2 hierarchy is mounted");
  sweep(root);
  for (let n = 1; ; n++) {
    const name = `/x0lab-${process.pid}-${n}`;
    const path = root + name;
    try {
      mkdirSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") continue;
      throw error;
    }
    return {
      path,
      name,
      id: statSync(path, { bigint: true }).ino,
      enter: (command) => ["sh", "-c", 'echo $$ >"$0" && exec "$@"', `${path}/cgroup.procs`, ...command],
      [Symbol.asyncDispose]: () => remove(path),
    };
  }
}

async function remove(path: string): Promise<void> {
  if (!isPopulated(path)) return rmdirSync(path);
  const empty = Promise.withResolvers<void>();
  // The kernel notifies a change of `populated` as a modification of cgroup.events.
  const watcher = watch(`${path}/cgroup.events`, () => {
    if (!isPopulated(path)) empty.resolve();
  });
  writeFileSync(`${path}/cgroup.kill`, "1");
  if (!isPopulated(path)) empty.resolve();
  await empty.promise;
  watcher.close();
  rmdirSync(path);
}

function isPopulated(path: string): boolean {
  return /^populated 1/m.test(readFileSync(`${path}/cgroup.events`, "utf8"));
}

/** Of processes that are gone; those still in use are left to the next sweep. */
function sweep(root: string): void {
  for (const name of readdirSync(root)) {
    const pid = /^x0lab-(\d+)-\d+$/.exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      writeFileSync(`${root}/${name}/cgroup.kill`, "1");
      rmdirSync(`${root}/${name}`);
    } catch (error) {
      if (!["EBUSY", "ENOENT", "ENODEV"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    }
  }
}
