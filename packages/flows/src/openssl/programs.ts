import { readFileSync } from "node:fs";
import type { Skeleton } from "../kernel/skeleton.ts";
import { blobSections, mapNames, programNames } from "./generated/layout.ts";

export type MapName = (typeof mapNames)[number];
export type ProgramName = (typeof programNames)[number];

/** The probes on OpenSSL. `src` and `dist` lie equally deep, so one relative path serves both. */
export function opensslPrograms(): Skeleton<MapName, ProgramName> {
  const blob = readFileSync(new URL("../../bpf/openssl.blob", import.meta.url));
  return { blob, sections: blobSections, maps: mapNames, programs: programNames };
}
