/**
 * Loads a BPF object: gives the kernel its BTF, creates its maps and loads its programs one by one. The kernel
 * itself fits field offsets to its own types (CO-RE, since Linux 5.17). No libbpf, no compiler, no ELF.
 */
import { attributes, command } from "./bpf.ts";
import { findKernelType } from "./kernel-types.ts";
import { kernelError, type Libc } from "./libc.ts";
import { createMap, mapInfo } from "./map.ts";
import type { BpfObject, MapDefinition, ProgramDefinition } from "./object.ts";
import { loadProgram } from "./program.ts";

export interface Loaded<MapName extends string, ProgramName extends string> {
  readonly maps: Readonly<Record<MapName, number>>;
  /** NOT_LOADED where the kernel does not have what the program attaches to, or it was not asked for. */
  readonly programs: Readonly<Record<ProgramName, number>>;
  /** Closes all descriptors but shared ones; programs that are still attached live on until their links close. */
  close(): void;
}

export interface LoadOptions<MapName extends string, ProgramName extends string> {
  /** Sizes that differ from those compiled in. */
  readonly maxEntries?: Partial<Readonly<Record<MapName, number>>>;
  /** Descriptors of maps that exist, pinned or of another load, in the place of new ones; they stay the caller's. */
  readonly maps?: Partial<Readonly<Record<MapName, number>>>;
  /** Only these. */
  readonly programs?: readonly ProgramName[];
}

/** Descriptor of a program that is not there. */
export const NOT_LOADED = -1;

const EINVAL = -22;

/** @throws X0_FLOWS_KERNEL_CALL; then nothing of the object is left in the kernel. */
export function loadObject<MapName extends string, ProgramName extends string>(
  libc: Libc,
  object: BpfObject<MapName, ProgramName>,
  options: LoadOptions<MapName, ProgramName> = {},
): Loaded<MapName, ProgramName> {
  using opening = new DisposableStack();
  const owned = (fd: number): number => opening.adopt(fd, (opened) => void libc.close(opened));
  using loading = new DisposableStack();
  // Maps and programs that use it keep it.
  const btf = loading.adopt(loadBtf(libc, object.btf), (opened) => void libc.close(opened));
  const maps = object.maps.map((map): [MapName, number] => {
    const shared = options.maps?.[map.name];
    if (shared === undefined)
      return [map.name, owned(createFrom(libc, map, btf, options.maxEntries?.[map.name]))];
    checkShared(libc, map, shared);
    return [map.name, shared];
  });
  const wanted = options.programs;
  const programs = object.programs.map((program): [ProgramName, number] => {
    if (wanted !== undefined && !wanted.includes(program.name)) return [program.name, NOT_LOADED];
    const fd = loadFrom(
      libc,
      object,
      program,
      btf,
      maps.map(([, map]) => map),
    );
    return [program.name, fd === NOT_LOADED ? fd : owned(fd)];
  });
  const open = opening.move();
  return {
    maps: Object.fromEntries(maps) as Record<MapName, number>,
    programs: Object.fromEntries(programs) as Record<ProgramName, number>,
    close: () => open.dispose(),
  };
}

function loadBtf(libc: Libc, content: Uint8Array): number {
  const memory = libc.allocate(content.length);
  try {
    memory.bytes.set(content);
    const { bytes, view } = attributes(32);
    view.setBigUint64(0, memory.address, true);
    view.setUint32(16, content.length, true);
    const fd = libc.bpf(command.btfLoad, bytes);
    if (fd < 0) throw kernelError("loading the types of the BPF programs", fd);
    return fd;
  } finally {
    memory.free();
  }
}

function createFrom(libc: Libc, map: MapDefinition, btf: number, maxEntries = map.maxEntries): number {
  const { inner } = map;
  if (inner === undefined) return createMap(libc, { ...map, inner: 0, maxEntries, btf });
  // The kernel reads its shape and lets it go.
  const template = createMap(libc, { ...inner, name: map.name, btf });
  try {
    return createMap(libc, { ...map, maxEntries, btf, inner: template });
  } finally {
    libc.close(template);
  }
}

/** The programs were compiled for keys and values of these sizes; how many entries it has does not matter. */
function checkShared(libc: Libc, map: MapDefinition, shared: number): void {
  const found = mapInfo(libc, shared);
  for (const field of ["type", "keyBytes", "valueBytes", "flags"] as const)
    if (found[field] !== map[field]) {
      const difference = `its ${field} is ${found[field]}, the programs want ${map[field]}`;
      throw kernelError(
        `sharing the map ${map.name} (${difference})`,
        EINVAL,
        "it is of another version of x0: remove it, and what uses it",
      );
    }
}

function loadFrom(
  libc: Libc,
  object: BpfObject<string, string>,
  program: ProgramDefinition,
  btf: number,
  maps: readonly number[],
): number {
  const { name, type, attachType, instructions } = program;
  const { kernelType } = program;
  const found = kernelType === undefined ? undefined : findKernelType(libc, kernelType);
  if (kernelType !== undefined && found === undefined) return NOT_LOADED;
  try {
    return loadProgram(libc, {
      name,
      type,
      attachType,
      instructions,
      maps,
      license: object.license,
      debug: { btf, ...program },
      ...(found === undefined ? {} : { kernelType: found }),
    });
  } finally {
    if (found !== undefined && found.module > 0) libc.close(found.module);
  }
}
