import { type BpfObject, readObject } from "../kernel/object.ts";
import { mapNames, programNames } from "./generated/layout.ts";

export type MapName = (typeof mapNames)[number];
export type ProgramName = (typeof programNames)[number];

/** The programs of packet capture. `src` and `dist` lie equally deep, so one relative path serves both. */
export function packetPrograms(): BpfObject<MapName, ProgramName> {
  const file = new URL("../../bpf/packets.blob", import.meta.url);
  return readObject(file, { maps: mapNames, programs: programNames });
}
