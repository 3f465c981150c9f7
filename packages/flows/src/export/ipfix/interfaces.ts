/** Numbers of interfaces by their names, for collectors that know no names. */
import { statSync } from "node:fs";
import { watchInterfaces } from "../../kernel/interfaces.ts";
import { type Libc, openLibc } from "../../kernel/libc.ts";

/** A name that is not known is not asked for again before this: it may belong to a device that is gone. */
const ASK_EVERY_MS = 10_000;

/** Numbers in the namespace that this thread is in; 0, which says unknown, elsewhere. */
export function interfaceIndexes(nowMs: () => number): (netns: number, name: string) => number {
  const own = statSync("/proc/self/ns/net").ino;
  const libc = openLibc();
  let indexes = new Map<string, number>();
  let askedMs = Number.NEGATIVE_INFINITY;
  return (netns, name) => {
    if (netns !== own || name === "") return 0;
    const known = indexes.get(name);
    if (known !== undefined && nowMs() - askedMs < ASK_EVERY_MS) return known;
    if (Math.abs(nowMs() - askedMs) >= ASK_EVERY_MS) {
      askedMs = nowMs();
      indexes = listed(libc);
    }
    return indexes.get(name) ?? 0;
  };
}

function listed(libc: Libc): Map<string, number> {
  const watch = watchInterfaces(libc);
  try {
    return new Map(watch.list().map((device) => [device.name, device.index]));
  } finally {
    watch.close();
  }
}
