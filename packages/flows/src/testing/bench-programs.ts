/** The program of bpf/testing/bench.bpf.c: the shipped accounting code over many flows. For benches only. */
import { type KernelSide, totalsReader } from "../capture/kernel-side.ts";
import { testRun } from "../kernel/bpf.ts";
import { flowTableSizes } from "../kernel/flow-table.ts";
import type { Libc } from "../kernel/libc.ts";
import { type Loaded, loadObject, NOT_LOADED } from "../kernel/load.ts";
import { type BpfObject, readObject } from "../kernel/object.ts";
import type { MapName } from "../kernel/programs.ts";
import { openPins } from "../policy/enforce/pins.ts";
import { be16, bytesOf } from "./frames.ts";
import { mapNames, programNames } from "./generated/bench-layout.ts";

/** `enum mode` of bench.bpf.c. */
export const benchMode = { empty: 0, account: 1, fresh: 2 } as const;

export function benchPrograms(): BpfObject<MapName, (typeof programNames)[number]> {
  const file = new URL("../../bpf/testing/bench.blob", import.meta.url);
  return readObject(file, { maps: mapNames, programs: programNames });
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

export interface BenchKernel {
  /** For `openCapture`, in the place of the shipped programs on devices. */
  readonly kernel: KernelSide;
  readonly program: number;
  /** Runs the program once. */
  walk(request: {
    readonly mode: number;
    readonly rounds: number;
    readonly flows: number;
    readonly seed: number;
  }): void;
}

/** @param sizes of the flow map in entries, of the ring in bytes. */
export function benchKernel(
  libc: Libc,
  sizes: { readonly maxFlows: number; readonly ringBytes: number },
): BenchKernel {
  const loaded = loadObject(libc, benchPrograms(), {
    maxEntries: { ...flowTableSizes(sizes.maxFlows), events: sizes.ringBytes },
  });
  const program = loaded.programs.x0_bench;
  return {
    program,
    walk: (request) => void testRun(libc, program, benchRequest(request)),
    kernel: kernelWithoutDevices(libc, loaded),
  };
}

/** Loaded programs that hang on no device: what they count comes from test runs. */
export function kernelWithoutDevices(libc: Libc, loaded: Loaded<MapName, string>): KernelSide {
  const totals = totalsReader(libc, loaded.maps.totals);
  return {
    maps: loaded.maps,
    admit: NOT_LOADED,
    // Nothing is pinned for them.
    pins: openPins(libc, "none", "/proc/self/none/net"),
    attachments: {
      mode: "tcx",
      stubs: () => [],
      step: () => false,
      poll() {},
      judge() {},
      links: () => new Map(),
      summary: () => ({ attached: 0, skipped: [], leftOut: 0, unmatched: [] }),
      devices: () => [],
      namespaces: () => [],
      namespaceInode: () => 0,
      interfaceName: () => "bench",
      close() {},
    },
    cgroupRoot: undefined,
    features: () => [],
    totals: () => totals(),
    noteNamespaces() {},
    watchDrops() {},
    findOwners() {},
    judgeSockets() {},
    judgingLinks: () => new Map(),
    close: () => loaded.close(),
  };
}
