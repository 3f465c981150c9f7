/** The files in which probes stand: libraries of OpenSSL, and programs that carry it in themselves, as Node does. */
import { statSync } from "node:fs";
import { messageOf } from "@x0tta6bl4/core";
import type { Libc } from "../kernel/libc.ts";
import { functionOffsets } from "./elf.ts";
import { attachProbes, probedSymbols, type Uprobe } from "./probes.ts";
import type { ProgramName } from "./programs.ts";

/** Files at once, each with seven probes: hosts have one OpenSSL, each image of containers may have its own. */
const MOST_FILES = 16;
/** Files in which nothing was found, remembered so that they are not read again. */
const MOST_EMPTY = 1024;

export interface ProbedFiles {
  /**
   * Probes the file if it has functions of OpenSSL and no probes yet.
   *
   * @param links to it, the best first. @returns its identity, "none" without such functions, or why there are no
   *   probes.
   */
  probe(links: readonly string[]): FileOutcome;
  /** Lets go of all but these. */
  keep(identities: ReadonlySet<string>): void;
  /** Each probe takes the kernel 0.1 s, spent in other threads. */
  close(): Promise<void>;
}

export type FileOutcome = { readonly identity: string } | { readonly reason: string } | "none";

export function createProbedFiles(
  libc: Libc,
  uprobe: Uprobe,
  programs: Readonly<Record<ProgramName, number>>,
): ProbedFiles {
  const probed = new Map<string, readonly number[]>();
  const empty = new Set<string>();

  const release = async (identity: string): Promise<void> => {
    const descriptors = probed.get(identity) ?? [];
    probed.delete(identity);
    await Promise.all(descriptors.map((fd) => libc.closeAside(fd)));
  };

  return {
    probe(links) {
      try {
        const { path, identity } = firstReadable(links);
        if (probed.has(identity)) return { identity };
        if (empty.has(identity)) return "none";
        const offsets = functionOffsets(path, probedSymbols);
        if (offsets === undefined || offsets.size === 0) {
          if (empty.size >= MOST_EMPTY) empty.clear();
          empty.add(identity);
          return "none";
        }
        if (probed.size >= MOST_FILES) return { reason: `${MOST_FILES} files have probes already` };
        probed.set(identity, attachProbes(libc, uprobe, programs, path, offsets));
        return { identity };
      } catch (error) {
        return { reason: messageOf(error) };
      }
    },
    keep(identities) {
      for (const identity of [...probed.keys()]) if (!identities.has(identity)) void release(identity);
    },
    async close() {
      await Promise.all([...probed.keys()].map(release));
    },
  };
}

/** The identity is that of a file's content, as long as nobody writes into it. */
function firstReadable(links: readonly string[]): { readonly path: string; readonly identity: string } {
  for (const [index, path] of links.entries())
    try {
      const { dev, ino, mtimeMs, size } = statSync(path);
      return { path, identity: `${dev}:${ino}:${mtimeMs}:${size}` };
    } catch (error) {
      const isForbidden = (error as NodeJS.ErrnoException).code === "EPERM";
      if (!isForbidden || index === links.length - 1) throw error;
    }
  throw new Error("no link");
}
