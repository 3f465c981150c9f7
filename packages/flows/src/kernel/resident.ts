import type { Libc } from "./libc.ts";

/** Later than the heaps are compacted (`compactHeapSoon`), which frees memory. */
const AFTER_START_MS = 5000;

/** Some seconds from now gives back what a start has freed, which glibc would keep in heaps of each thread. */
export function releaseStartSoon(libc: Libc): void {
  setTimeout(() => libc.trim(), AFTER_START_MS).unref();
}
