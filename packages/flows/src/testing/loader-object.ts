/** The object of bpf/testing/loader.bpf.c, for tests of the loader. */
import { testRun } from "../kernel/bpf.ts";
import type { Libc } from "../kernel/libc.ts";
import { type BpfObject, readObject } from "../kernel/object.ts";
import { mapNames, programNames } from "./generated/loader-layout.ts";

export const loaderFile = new URL("../../bpf/testing/loader.blob", import.meta.url);

export function loaderObject(): BpfObject<(typeof mapNames)[number], (typeof programNames)[number]> {
  return readObject(loaderFile, { maps: mapNames, programs: programNames });
}

/** What a program says of a packet of 64 bytes. */
export function verdictOf(libc: Libc, program: number): number {
  return testRun(libc, program, new Uint8Array(64)).verdict;
}
