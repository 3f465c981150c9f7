import { type Dirent, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { workloadOf } from "../../insight/workload.ts";
import { cgroupRoot } from "../../kernel/cgroups.ts";
import { isLasting, type Owner, workloadKey } from "./workloads.ts";

/** Cgroups that are looked at: a host with thousands of containers has some ten thousand. */
const MOST_CGROUPS = 65_536;

/** The services and containers that run now, from the cgroups with processes. */
export function runningOwners(root: string | undefined = cgroupRoot()): readonly Owner[] {
  const owners = new Map<string, Owner>();
  let left = MOST_CGROUPS;
  const walk = (path: string): void => {
    if (left-- <= 0) return;
    const owner = workloadOf(path);
    const key = workloadKey(owner);
    if (key !== undefined && !owners.has(key) && isLasting(owner) && isPopulated(path))
      owners.set(key, owner);
    for (const entry of entriesOf(path)) if (entry.isDirectory()) walk(join(path, entry.name));
  };
  const entriesOf = (path: string): Dirent[] => {
    try {
      return readdirSync(join(root ?? "", path), { withFileTypes: true });
    } catch (error) {
      // It ended while we walk, or is not ours to see.
      if (isGone(error)) return [];
      throw error;
    }
  };
  /** Itself or one below it. */
  const isPopulated = (path: string): boolean => {
    try {
      return /^populated 1$/m.test(readFileSync(join(root ?? "", path, "cgroup.events"), "utf8"));
    } catch (error) {
      if (isGone(error)) return false;
      throw error;
    }
  };
  if (root !== undefined) walk("/");
  return [...owners.values()];
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENODEV" || code === "EACCES";
}
