import { readFileSync } from "node:fs";
import { X0Error } from "@x0tta6bl4/core";
import { blobSections, mapNames, programNames } from "../generated/layout.ts";
import * as older from "../generated/older-layout.ts";
import type { Libc } from "./libc.ts";
import { type Loaded, loadSkeleton, type Skeleton } from "./skeleton.ts";

export type MapName = (typeof mapNames)[number];
export type ProgramName = (typeof programNames)[number];

/** The shipped programs. `src` and `dist` lie equally deep, so one relative path serves both. */
export function shippedPrograms(): Skeleton<MapName, ProgramName> {
  const blob = readFileSync(new URL("../../bpf/x0.blob", import.meta.url));
  return { blob, sections: blobSections, maps: mapNames, programs: programNames };
}

function olderPrograms(): Skeleton<MapName, (typeof older.programNames)[number]> {
  const blob = readFileSync(new URL("../../bpf/older.blob", import.meta.url));
  return { blob, sections: older.blobSections, maps: older.mapNames, programs: older.programNames };
}

/** Descriptor of a program that this kernel does not take. */
export const NOT_LOADED = -1;

/**
 * All programs, or those that kernels before 6.3 take too; the others are NOT_LOADED.
 *
 * @param all the shipped programs.
 * @throws X0_FLOWS_KERNEL_CALL of the first attempt where neither loads.
 */
export function loadShipped(
  libc: Libc,
  maxEntries: Partial<Readonly<Record<MapName, number>>>,
  all: Skeleton<MapName, ProgramName> = shippedPrograms(),
): Loaded<MapName, ProgramName> {
  try {
    return loadSkeleton(libc, all, maxEntries);
  } catch (error) {
    if (!(error instanceof X0Error)) throw error;
    let loaded: ReturnType<typeof loadOlder>;
    try {
      loaded = loadOlder(libc, maxEntries);
    } catch {
      throw error;
    }
    return { ...loaded, programs: { x0_received: NOT_LOADED, x0_sent: NOT_LOADED, ...loaded.programs } };
  }
}

function loadOlder(libc: Libc, maxEntries: Partial<Readonly<Record<MapName, number>>>) {
  return loadSkeleton(libc, olderPrograms(), maxEntries);
}
