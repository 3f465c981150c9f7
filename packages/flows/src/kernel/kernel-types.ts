/**
 * Numbers of types in the running kernel's BTF. The kernel looks itself, asked by a program of a few instructions:
 * reading its 10 MB of types here would take longer, and miss those of modules.
 */
import { attributes, command, retrying } from "./bpf.ts";
import { instruction, opcode } from "./instruction.ts";
import { kernelError, type Libc } from "./libc.ts";
import type { KernelType } from "./object.ts";
import { loadProgram, programType } from "./program.ts";

export interface FoundType {
  readonly id: number;
  /** Descriptor of the module's BTF that has it, 0 for the kernel's own; to be closed. */
  readonly module: number;
}

const ENOENT = -2;
/** Helper `bpf_btf_find_by_name_kind`. */
const FIND = 167;
const WORD = 8;

/** @returns undefined where the kernel has no such type. @throws X0_FLOWS_KERNEL_CALL */
export function findKernelType(libc: Libc, { kind, name }: KernelType): FoundType | undefined {
  const program = loadProgram(libc, {
    type: programType.syscall,
    instructions: search(kind, name),
    name: "x0_find_type",
    sleepable: true,
  });
  const found = libc.allocate(WORD);
  try {
    const { bytes, view } = attributes(80);
    view.setUint32(0, program, true);
    view.setUint32(40, WORD, true);
    view.setBigUint64(48, found.address, true);
    const result = retrying(() => libc.bpf(command.programTestRun, bytes));
    if (result < 0) throw kernelError(`looking for ${name} in the kernel's types`, result);
    const id = found.view.getInt32(0, true);
    if (id === ENOENT) return undefined;
    if (id < 0) throw kernelError(`looking for ${name} in the kernel's types`, id);
    return { id, module: found.view.getInt32(4, true) };
  } finally {
    found.free();
    libc.close(program);
  }
}

/** `char text[] = name; *context = bpf_btf_find_by_name_kind(text, sizeof(text), kind, 0); return 0` */
function search(kind: number, name: string): Uint8Array {
  const [RESULT, FIRST, SECOND, THIRD, FOURTH, CONTEXT, STACK] = [0, 1, 2, 3, 4, 6, 10];
  // With at least one zero behind it, in whole words.
  const text = Buffer.alloc((Math.floor(name.length / WORD) + 1) * WORD);
  text.write(name, "latin1");
  const begin = -text.length;
  const store = Array.from({ length: text.length / WORD }, (_, index) => [
    instruction(opcode.load64, FIRST, 0, 0, text.readInt32LE(index * WORD)),
    instruction(0, 0, 0, 0, text.readInt32LE(index * WORD + 4)),
    instruction(opcode.storeMemory, STACK, FIRST, begin + index * WORD, 0),
  ]);
  return new Uint8Array(
    Buffer.concat([
      instruction(opcode.moveRegister, CONTEXT, FIRST, 0, 0),
      ...store.flat(),
      instruction(opcode.moveRegister, FIRST, STACK, 0, 0),
      instruction(opcode.add, FIRST, 0, 0, begin),
      instruction(opcode.move, SECOND, 0, 0, name.length + 1),
      instruction(opcode.move, THIRD, 0, 0, kind),
      instruction(opcode.move, FOURTH, 0, 0, 0),
      instruction(opcode.call, 0, 0, 0, FIND),
      instruction(opcode.storeMemory, CONTEXT, RESULT, 0, 0),
      instruction(opcode.move, RESULT, 0, 0, 0),
      instruction(opcode.exit, 0, 0, 0, 0),
    ]),
  );
}
