/**
 * The file of a BPF object: what a loader needs of it, linked ahead of time, so that loading takes no ELF, no
 * compiler and no libbpf. Written by scripts/generate, read by object.ts. All numbers are little-endian:
 *
 * magic · version u16 · SHA-256 of what follows · license · BTF · maps · programs
 *
 * A text or a run of bytes is its length (u32) and itself; a list its length (u32) and its entries. A map: name,
 * seven numbers, then whether it holds maps, and if so seven numbers of these. A program: name, type, attach type,
 * kind and name of the kernel's type that it attaches to (0 and none without), instructions, functions, lines,
 * CO-RE relocations; all four as bpf(2) wants them, but that a map is its number among those of the file.
 */
export const objectFile = {
  magic: "x0bpf\n",
  version: 1,
  checksumBytes: 32,
  /** Where the checksum begins; what it covers begins behind it. */
  headerBytes: 8,
} as const;

/** The numbers of a map, in their order in the file. */
export const mapNumbers = [
  "type",
  "keyBytes",
  "valueBytes",
  "maxEntries",
  "flags",
  "keyType",
  "valueType",
] as const;

/** Bytes of `struct bpf_func_info`, `bpf_line_info` and `bpf_core_relo`. */
export const recordBytes = { functions: 8, lines: 16, relocations: 16 } as const;

/** Instructions that name something: a call, and the load of 64 bits, which takes two slots. */
export const instructionCode = { call: 0x85, load64: 0x18 } as const;

/** What the source register of such an instruction then says: `BPF_PSEUDO_*`. */
export const pseudoSource = { call: 1, function: 4, map: 5 } as const;
