/** Tells the kernel side which cgroup is which endpoint, now and when a unit of the same path starts again. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { mapAccess, readBatches } from "../../kernel/bpf.ts";
import { cgroupRoot } from "../../kernel/cgroups.ts";
import { kernelError, type Libc, type Memory } from "../../kernel/libc.ts";
import type { WorkloadPlace } from "../enforce/contract.ts";

const PATH_BYTES = 256;
const BATCH = 256;
/** WORKLOAD_UNJUDGED of bpf/workload.h. */
const UNJUDGED = 0x8000_0000;

export interface Membership {
  /** Puts these in the place of those before. @throws X0_FLOWS_KERNEL_CALL */
  write(places: readonly WorkloadPlace[]): void;
  close(): void;
}

export interface MembershipMaps {
  readonly workloads: number;
  readonly workload_paths: number;
}

/** @param root where the hierarchy is mounted. */
export function openMembership(libc: Libc, maps: MembershipMaps, root = cgroupRoot()): Membership {
  const access = mapAccess(libc);
  const value = libc.allocate(4);
  const key = libc.allocate(PATH_BYTES);
  const keys = libc.allocate(BATCH * PATH_BYTES);
  const values = libc.allocate(BATCH * 4);
  const cursor = libc.allocate(8);
  /** Writes all entries, then takes out what nobody needs: none is missing at any moment. */
  const replace = (
    map: number,
    keyBytes: number,
    entries: ReadonlyMap<string, number>,
    isNeeded: (bytes: string) => boolean,
  ): void => {
    for (const [bytes, number] of entries) {
      key.bytes.set(Buffer.from(bytes, "latin1"));
      value.view.setUint32(0, number, true);
      const result = access.update(map, key, value);
      if (result < 0) throw kernelError("telling the cgroups of workloads", result);
    }
    const gone: string[] = [];
    readBatches(libc, map, { keys, values, cursor, capacity: BATCH }, (count) => {
      for (let at = 0; at < count * keyBytes; at += keyBytes) {
        const bytes = Buffer.from(keys.bytes.subarray(at, at + keyBytes)).toString("latin1");
        if (!entries.has(bytes)) gone.push(bytes);
      }
    });
    for (const bytes of gone) {
      if (isNeeded(bytes)) continue;
      key.bytes.set(Buffer.from(bytes, "latin1"));
      access.delete(map, key);
    }
  };
  return {
    write(places) {
      // Paths first: a unit that starts meanwhile is met by one of the two.
      replace(
        maps.workload_paths,
        PATH_BYTES,
        new Map(places.map((place) => [pathKey(place.path), numberOf(place)])),
        () => false,
      );
      const ids = new Map(places.map((place) => [idKey(place.cgroup), numberOf(place)]));
      const isThere = cgroupsNow(root, places);
      replace(maps.workloads, 8, ids, (bytes) => isThere().has(bytes));
    },
    close() {
      for (const memory of [value, key, keys, values, cursor] satisfies Memory[]) memory.free();
    },
  };
}

/**
 * The cgroups that the paths have by now: what started again since somebody looked was told by the kernel side, and has
 * to stay. Of a path that is not there nothing is known: all stays until the next time.
 */
function cgroupsNow(
  root: string | undefined,
  places: readonly WorkloadPlace[],
): () => { has(bytes: string): boolean } {
  let found: { has(bytes: string): boolean } | undefined;
  return () => {
    if (found !== undefined) return found;
    const ids = places.map(({ path }) =>
      root === undefined ? undefined : statSync(join(root, path), { throwIfNoEntry: false })?.ino,
    );
    const known = new Set(ids.flatMap((id) => (id === undefined ? [] : [idKey(id)])));
    found = ids.includes(undefined) ? { has: () => true } : known;
    return found;
  };
}

function pathKey(path: string): string {
  return Buffer.from(path).toString("latin1").padEnd(PATH_BYTES, "\0");
}

function numberOf({ endpoint, isJudged }: WorkloadPlace): number {
  return isJudged ? endpoint : (endpoint | UNJUDGED) >>> 0;
}

function idKey(cgroup: number): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(cgroup));
  return bytes.toString("latin1");
}
