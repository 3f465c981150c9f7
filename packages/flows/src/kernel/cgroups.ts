/** The cgroup v2 hierarchy: where it is mounted (hybrid hosts keep it aside) and which path an id has. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Mount point of the v2 hierarchy's root, undefined where there is none. */
export function cgroupRoot(): string | undefined {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  for (const line of mounts) {
    const [before, after] = line.split(" - ");
    if (after?.startsWith("cgroup2 ")) return before?.split(" ")[4];
  }
  return undefined;
}

export interface CgroupPaths {
  /** Path below the root of the cgroup with this id (its inode), undefined if it is gone. */
  pathOf(id: number): string | undefined;
}

/** Walks the hierarchy when an unknown id is asked for, at most once in `intervalMs`. */
export function cgroupPaths(root: string, nowMs: () => number, intervalMs = 1000): CgroupPaths {
  let known = new Map<number, string>();
  let walkedAt = Number.NEGATIVE_INFINITY;
  const walk = (path: string, depth: number): void => {
    const folder = join(root, path);
    known.set(statSync(folder).ino, path);
    if (depth > 32) return;
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      try {
        walk(join(path, entry.name), depth + 1);
      } catch (error) {
        // A cgroup may end while we walk.
        if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      }
    }
  };
  return {
    pathOf(id) {
      const path = known.get(id);
      if (path !== undefined || nowMs() - walkedAt < intervalMs) return path;
      walkedAt = nowMs();
      known = new Map();
      walk("/", 0);
      return known.get(id);
    },
  };
}
