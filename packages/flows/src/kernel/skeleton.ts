/**
 * Loads a light skeleton (`bpftool gen skeleton -L`): a generated BPF program of type SYSCALL that creates the
 * maps, resolves CO-RE relocations against the running kernel and loads the programs. Four bpf(2) calls, no
 * libbpf, no compiler. Layout: tools/lib/bpf/skel_internal.h, `struct bpf_loader_ctx`.
 */
import { attributes, command, cString, loadProgram, mapAccess, programType, retrying } from "./bpf.ts";
import { kernelError, type Libc, type Memory } from "./libc.ts";

export interface Skeleton<MapName extends string, ProgramName extends string> {
  readonly blob: Uint8Array;
  readonly sections: { readonly dataBytes: number; readonly instructionBytes: number };
  readonly maps: readonly MapName[];
  readonly programs: readonly ProgramName[];
}

export interface Loaded<MapName extends string, ProgramName extends string> {
  readonly maps: Readonly<Record<MapName, number>>;
  readonly programs: Readonly<Record<ProgramName, number>>;
  /** Closes all descriptors; programs that are still attached live on until their links close. */
  close(): void;
}

const CONTEXT_HEADER = 24;
const MAP_DESCRIPTION = 16;
const PROGRAM_DESCRIPTION = 4;
/** The verifier fails with ENOSPC when its log is full, so it is only asked for one after a failure. */
const LOG_BYTES = 1 << 22;
const MAP_TYPE_ARRAY = 2;

/**
 * @param maxEntries sizes that differ from those compiled in.
 * @throws X0_FLOWS_KERNEL_CALL with the end of the verifier's log.
 */
export function loadSkeleton<MapName extends string, ProgramName extends string>(
  libc: Libc,
  skeleton: Skeleton<MapName, ProgramName>,
  maxEntries: Partial<Readonly<Record<MapName, number>>> = {},
): Loaded<MapName, ProgramName> {
  const { blob, sections, maps, programs } = skeleton;
  const programsAt = CONTEXT_HEADER + maps.length * MAP_DESCRIPTION;
  const size = programsAt + programs.length * PROGRAM_DESCRIPTION;
  const context = libc.allocate(size);
  const data = createDataMap(libc, blob.subarray(0, sections.dataBytes));
  let loader = -1;
  try {
    loader = loadProgram(libc, {
      type: programType.syscall,
      instructions: blob.subarray(sections.dataBytes),
      name: "x0_loader",
      sleepable: true,
      fds: [data],
    });
    const run = (log?: Memory): number => {
      context.bytes.fill(0);
      context.view.setUint32(0, size, true);
      if (log !== undefined) {
        context.view.setUint32(8, 1, true);
        context.view.setUint32(12, LOG_BYTES, true);
        context.view.setBigUint64(16, log.address, true);
      }
      for (const [index, name] of maps.entries())
        context.view.setUint32(CONTEXT_HEADER + index * MAP_DESCRIPTION + 4, maxEntries[name] ?? 0, true);
      const { bytes, view } = attributes(80);
      view.setUint32(0, loader, true);
      view.setUint32(40, size, true);
      view.setBigUint64(48, context.address, true);
      const result = libc.bpf(command.programTestRun, bytes);
      return result < 0 ? result : view.getInt32(4, true);
    };
    const result = retrying(run);
    if (result < 0) {
      const log = libc.allocate(LOG_BYTES);
      run(log);
      const words = lastWords(log.bytes);
      log.free();
      throw kernelError(`loading the BPF programs${words}`, result);
    }
    const fds = [
      ...maps.map((_, index) => context.view.getInt32(CONTEXT_HEADER + index * MAP_DESCRIPTION, true)),
      ...programs.map((_, index) => context.view.getInt32(programsAt + index * PROGRAM_DESCRIPTION, true)),
    ];
    return {
      maps: Object.fromEntries(maps.map((name, index) => [name, fds[index]])) as Record<MapName, number>,
      programs: Object.fromEntries(programs.map((name, index) => [name, fds[maps.length + index]])) as Record<
        ProgramName,
        number
      >,
      close() {
        for (const fd of fds.splice(0)) libc.close(fd);
      },
    };
  } finally {
    if (loader >= 0) libc.close(loader);
    libc.close(data);
    context.free();
  }
}

/** The loader program finds its data in a one-element array. */
function createDataMap(libc: Libc, content: Uint8Array): number {
  const { bytes, view } = attributes(72);
  view.setUint32(0, MAP_TYPE_ARRAY, true);
  view.setUint32(4, 4, true);
  view.setUint32(8, content.length, true);
  view.setUint32(12, 1, true);
  const map = libc.bpf(command.mapCreate, bytes);
  if (map < 0) throw kernelError("creating a BPF map", map);
  const key = libc.allocate(4);
  const value = libc.allocate(content.length);
  try {
    value.bytes.set(content);
    const result = mapAccess(libc).update(map, key, value);
    if (result < 0) throw kernelError("filling a BPF map", result);
    return map;
  } catch (error) {
    libc.close(map);
    throw error;
  } finally {
    key.free();
    value.free();
  }
}

/** The verifier's last line that says something. */
function lastWords(log: Uint8Array): string {
  const lines = cString(log).trim().split("\n");
  const line = lines.filter((text) => text !== "" && !/^processed \d+ insns/.test(text)).at(-1);
  return line === undefined ? "" : ` (${line.trim().slice(0, 200)})`;
}
