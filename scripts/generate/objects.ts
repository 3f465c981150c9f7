/** Which BPF objects there are, and what is written of each. Paths are relative to packages/flows. */

export interface ObjectSources {
  /** Relative to the folder bpf. */
  readonly sources: readonly string[];
  readonly blob: string;
  readonly layout: string;
  /** The header in the folder bpf whose structs and enumerations the layout also holds. */
  readonly structs?: string;
}

export const objects: readonly ObjectSources[] = [
  {
    sources: ["count.bpf.c", "sockets.bpf.c", "tasks.bpf.c", "drops.bpf.c", "use.bpf.c"],
    blob: "bpf/x0.blob",
    layout: "src/generated/layout.ts",
    structs: "types.h",
  },
  {
    sources: ["packets.bpf.c"],
    blob: "bpf/packets.blob",
    layout: "src/packets/generated/layout.ts",
    structs: "packets.h",
  },
  {
    sources: ["openssl.bpf.c"],
    blob: "bpf/openssl.blob",
    layout: "src/openssl/generated/layout.ts",
    structs: "openssl.h",
  },
  {
    sources: ["testing/bench.bpf.c"],
    blob: "bpf/testing/bench.blob",
    layout: "src/testing/generated/bench-layout.ts",
  },
  {
    sources: ["testing/loader.bpf.c"],
    blob: "bpf/testing/loader.blob",
    layout: "src/testing/generated/loader-layout.ts",
  },
];
