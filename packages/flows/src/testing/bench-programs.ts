/** The program of bpf/testing/bench.bpf.c: the shipped accounting code over many flows. For benches only. */
import { readFileSync } from "node:fs";
import type { MapName } from "../kernel/programs.ts";
import type { Skeleton } from "../kernel/skeleton.ts";
import { be16, bytesOf } from "./frames.ts";
import { blobSections, mapNames, programNames } from "./generated/bench-layout.ts";

/** `enum mode` of bench.bpf.c. */
export const benchMode = { empty: 0, account: 1, fresh: 2 } as const;

export function benchPrograms(): Skeleton<MapName, (typeof programNames)[number]> {
  const blob = readFileSync(new URL("../../bpf/testing/bench.blob", import.meta.url));
  return { blob, sections: blobSections, maps: mapNames, programs: programNames };
}

/** A frame that carries `struct request`. */
export function benchRequest(request: {
  readonly mode: number;
  readonly rounds: number;
  readonly flows: number;
  readonly seed: number;
}): Uint8Array {
  const words = new Uint32Array([request.rounds, request.flows, request.seed >>> 0, request.mode]);
  const LOCAL_EXPERIMENT = 0x88b5;
  return bytesOf(
    new Uint8Array(12),
    be16(LOCAL_EXPERIMENT),
    new Uint8Array(words.buffer),
    new Uint8Array(32),
  );
}
