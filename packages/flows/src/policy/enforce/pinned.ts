import { readdirSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";

/**
 * Where `--pin` gives names to what has to outlive the agent. Agents in other network namespaces have folders of their
 * own.
 */
export function ownFolder(): string {
  return `/sys/fs/bpf/x0tta6bl4/net-${statSync("/proc/thread-self/ns/net").ino}`;
}

/**
 * Takes the names away from what an agent pinned: links without a name and without a process are detached by the
 * kernel. @returns how many there were
 * @throws X0_FLOWS_POLICY_PINNED
 */
export function removePinned(folder: string): number {
  try {
    return removeBelow(folder);
  } catch (error) {
    throw flowsFail("X0_FLOWS_POLICY_PINNED", `what is pinned in ${folder} stays: ${messageOf(error)}`, {
      hint: "run as root",
      cause: error,
    });
  }
}

function removeBelow(folder: string): number {
  let removed = 0;
  let entries: ReturnType<typeof readEntries>;
  try {
    entries = readEntries(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return 0;
    throw error;
  }
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removed += removeBelow(path);
    else {
      unlinkSync(path);
      removed++;
    }
  }
  rmdirSync(folder);
  return removed;
}

function readEntries(folder: string) {
  return readdirSync(folder, { withFileTypes: true });
}
