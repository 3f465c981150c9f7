/** Dropped packets by reason, as the kernel side counts them: exact where single drops are not told. */

import type { DropReasons } from "../insight/drop-reasons.ts";
import { attributes, command, mapAccess } from "../kernel/bpf.ts";
import { possibleCpus } from "../kernel/cpus.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";

/** Not a loss, but what lay in a socket's queue when it closed: the other side's FIN, of nearly each connection. */
const HARMLESS: readonly string[] = ["QUEUE_PURGE"];

/** @param map descriptor of `harmless`. @param reasons as the running kernel numbers them. @throws X0_FLOWS_KERNEL_CALL */
export function writeHarmless(libc: Libc, map: number, reasons: DropReasons): void {
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  const access = mapAccess(libc);
  try {
    for (const name of HARMLESS) {
      const number = reasons.number(name);
      if (number === undefined) continue;
      key.view.setUint32(0, number, true);
      const result = access.update(map, key, value);
      if (result < 0) throw kernelError("telling the harmless reasons of drops", result);
    }
  } finally {
    key.free();
    value.free();
  }
}

/** Of the map; what lies beyond finds no entry and stays uncounted. */
const MOST_REASONS = 512;

export interface DropCounts {
  /** Reason's number → packets. */
  read(): ReadonlyMap<number, number>;
  close(): void;
}

/** @param map descriptor of `drops`. */
export function createDropCounts(libc: Libc, map: number): DropCounts {
  const cpus = possibleCpus();
  const keys = [libc.allocate(4), libc.allocate(4)] as const;
  const value = libc.allocate(8 * cpus);
  const access = mapAccess(libc);
  const next = (before: bigint, key: (typeof keys)[number]): number => {
    const { bytes, view } = attributes(32);
    view.setUint32(0, map, true);
    view.setBigUint64(8, before, true);
    view.setBigUint64(16, key.address, true);
    return libc.bpf(command.mapNextKey, bytes);
  };
  return {
    read() {
      const counts = new Map<number, number>();
      let from = 0n;
      for (let index = 0; index < MOST_REASONS; index++) {
        const key = keys[index % 2 === 0 ? 0 : 1];
        if (next(from, key) < 0) break;
        from = key.address;
        if (access.lookup(map, key, value) < 0) continue;
        let packets = 0;
        for (let cpu = 0; cpu < cpus; cpu++) packets += Number(value.view.getBigUint64(8 * cpu, true));
        counts.set(key.view.getUint32(0, true), packets);
      }
      return counts;
    },
    close() {
      for (const memory of [...keys, value]) memory.free();
    },
  };
}
