import { readFileSync } from "node:fs";
import { blobSections, mapNames, programNames } from "../generated/layout.ts";
import type { Skeleton } from "./skeleton.ts";

export type MapName = (typeof mapNames)[number];
export type ProgramName = (typeof programNames)[number];

/** The shipped programs. `src` and `dist` lie equally deep, so one relative path serves both. */
export function shippedPrograms(): Skeleton<MapName, ProgramName> {
  const blob = readFileSync(new URL("../../bpf/x0.blob", import.meta.url));
  return { blob, sections: blobSections, maps: mapNames, programs: programNames };
}
