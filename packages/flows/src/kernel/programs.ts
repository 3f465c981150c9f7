import { mapNames, programNames } from "../generated/layout.ts";
import { type BpfObject, readObject } from "./object.ts";

export type MapName = (typeof mapNames)[number];
export type ProgramName = (typeof programNames)[number];

/** The shipped programs. `src` and `dist` lie equally deep, so one relative path serves both. */
export function shippedPrograms(): BpfObject<MapName, ProgramName> {
  const file = new URL("../../bpf/x0.blob", import.meta.url);
  return readObject(file, { maps: mapNames, programs: programNames });
}
