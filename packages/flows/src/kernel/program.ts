/** BPF_PROG_LOAD: one program, from raw instructions or from an object. */
import { attributes, command, cString, retrying } from "./bpf.ts";
import { kernelError, type Libc, type Memory } from "./libc.ts";
import { recordBytes } from "./object-format.ts";

/** `enum bpf_prog_type`, only what is loaded from instructions made here. */
export const programType = { schedCls: 3, syscall: 31 } as const;

export interface ProgramOptions {
  readonly type: number;
  /** 8 bytes each. */
  readonly instructions: Uint8Array;
  /** The kernel keeps 15 bytes of it. */
  readonly name?: string;
  readonly license?: string;
  readonly sleepable?: boolean;
  readonly attachType?: number;
  /** The type that it attaches to, by its number in the kernel's BTF, or in a module's whose descriptor is given. */
  readonly kernelType?: { readonly id: number; readonly module: number };
  /** Descriptors of the maps that instructions refer to by their place here. */
  readonly maps?: readonly number[];
  /** The object's BTF as the kernel has it, and what it says of the instructions. */
  readonly debug?: {
    readonly btf: number;
    readonly functions: Uint8Array;
    readonly lines: Uint8Array;
    readonly relocations: Uint8Array;
  };
}

/** Where the records of each kind go in the attributes: size of one, address, how many. */
const recordFields = {
  functions: [76, 80, 88],
  lines: [92, 96, 104],
  relocations: [136, 128, 116],
} as const;

/** The verifier fails with ENOSPC when its log is full, so it is only asked for one after a failure. */
const LOG_BYTES = 1 << 22;

/** @returns a descriptor. @throws X0_FLOWS_KERNEL_CALL with the end of the verifier's log. */
export function loadProgram(libc: Libc, options: ProgramOptions): number {
  const { type, instructions, name = "x0", kernelType, maps = [], debug } = options;
  using buffers = new DisposableStack();
  const copy = (content: Uint8Array): Memory => {
    const memory = buffers.adopt(libc.allocate(content.length), (allocated) => allocated.free());
    memory.bytes.set(content);
    return memory;
  };
  const { bytes, view } = attributes(144);
  view.setUint32(0, type, true);
  view.setUint32(4, instructions.length / 8, true);
  view.setBigUint64(8, copy(instructions).address, true);
  view.setBigUint64(
    16,
    copy(new TextEncoder().encode(`${options.license ?? "Dual BSD/GPL"}\0`)).address,
    true,
  );
  view.setUint32(44, options.sleepable ? 1 << 4 : 0, true);
  bytes.set(new TextEncoder().encode(name.slice(0, 15)), 48);
  view.setUint32(68, options.attachType ?? 0, true);
  if (kernelType !== undefined) {
    view.setUint32(108, kernelType.id, true);
    view.setUint32(112, kernelType.module, true);
  }
  if (maps.length > 0)
    view.setBigUint64(120, copy(new Uint8Array(Int32Array.from(maps).buffer)).address, true);
  if (debug !== undefined) {
    view.setUint32(72, debug.btf, true);
    for (const kind of ["functions", "lines", "relocations"] as const) {
      if (debug[kind].length === 0) continue;
      const [sizeAt, addressAt, countAt] = recordFields[kind];
      view.setUint32(sizeAt, recordBytes[kind], true);
      view.setBigUint64(addressAt, copy(debug[kind]).address, true);
      view.setUint32(countAt, debug[kind].length / recordBytes[kind], true);
    }
  }
  const fd = retrying(() => libc.bpf(command.programLoad, bytes));
  if (fd >= 0) return fd;
  const log = copy(new Uint8Array(LOG_BYTES));
  view.setUint32(24, 1, true);
  view.setUint32(28, LOG_BYTES, true);
  view.setBigUint64(32, log.address, true);
  const again = retrying(() => libc.bpf(command.programLoad, bytes));
  if (again >= 0) return again;
  throw kernelError(`loading the BPF program ${name}${lastWords(log.bytes)}`, fd);
}

/** The verifier's last line that says something, after the line of the source that it was at. */
function lastWords(log: Uint8Array): string {
  const lines = cString(log).trim().split("\n");
  const telling = lines.filter(
    (text) => text !== "" && !/^processed \d+ insns|^verification time/.test(text),
  );
  const last = telling.pop();
  if (last === undefined) return "";
  const source = telling.findLast((text) => text.startsWith("; "));
  return ` (${[...(source === undefined ? [] : [source.slice(2)]), last]
    .map((text) => text.trim().slice(0, 200))
    .join(": ")})`;
}
