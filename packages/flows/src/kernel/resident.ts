/**
 * What a start leaves resident and nobody needs: memory that was freed, which glibc keeps in heaps of each thread, and
 * pages of Node's own code, most of which only loading and compiling run. Code that is needed again comes back from the
 * page cache, 16 pages a fault. Heaps of JavaScript are not meant here: see `compactHeapSoon`.
 */
import { readFileSync, realpathSync } from "node:fs";
import type { Libc } from "./libc.ts";

/** Later than the heaps are compacted, which frees memory. */
const AFTER_START_MS = 5000;

export function releaseStartSoon(libc: Libc): void {
  setTimeout(() => {
    libc.trim();
    for (const { address, sizeBytes } of ownCode()) libc.unmapPages(address, sizeBytes);
  }, AFTER_START_MS).unref();
}

export interface CodeRange {
  readonly address: bigint;
  readonly sizeBytes: number;
}

/**
 * Where the executable is mapped as code, which is never written to, so that each page is as in its file; but for
 * breakpoints of whoever debugs this process, which are lost.
 */
export function ownCode(): readonly CodeRange[] {
  const path = realpathSync(process.execPath);
  return readFileSync("/proc/self/maps", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [, from, to, file] = /^([0-9a-f]+)-([0-9a-f]+) r-xp \S+ \S+ \S+ +(.*)$/.exec(line) ?? [];
      if (from === undefined || to === undefined || file !== path) return [];
      const address = BigInt(`0x${from}`);
      return [{ address, sizeBytes: Number(BigInt(`0x${to}`) - address) }];
    });
}
