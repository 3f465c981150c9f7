import { spawnSync } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";

/**
 * Keeps other setups of this checkout out until this process ends, however it ends: `flock` locks our open file,
 * and the kernel releases it with our last descriptor (which children do not inherit). Where there is no `flock`
 * (not Linux), two setups are not kept apart.
 */
export function lock(root) {
  mkdirSync(join(root, ".cache"), { recursive: true });
  const file = openSync(join(root, ".cache", "setup.lock"), "a");
  const flock = (...flags) =>
    spawnSync("flock", [...flags, "3"], { stdio: ["ignore", "ignore", "ignore", file] });
  if (flock("-n").status !== 1) return;
  process.stderr.write("another setup is under way in this folder; waiting for it\n");
  flock();
}
