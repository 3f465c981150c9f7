/** What agents have pinned for a network namespace. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

export const PINS = "/sys/fs/bpf/x0tta6bl4";

/** @returns what gives the folders of namespaces with that inode. */
export function pinnedFolder(inode: number): () => Promise<string[]> {
  return async () => {
    const all = await readdir(PINS).catch(() => []);
    return all.filter((name) => name.startsWith(`net-${inode}-`)).map((name) => join(PINS, name));
  };
}
