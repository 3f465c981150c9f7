/** Names for maps, programs and links in a BPF file system: what has one outlives the process that made it. */
import { attributes, command } from "./bpf.ts";
import { kernelError, type Libc } from "./libc.ts";

const ENOENT = -2;

/** Gives what a descriptor stands for a name, until that is unlinked. @throws X0_FLOWS_KERNEL_CALL */
export function pin(libc: Libc, fd: number, path: string): void {
  const result = call(libc, command.objectPin, path, fd);
  if (result < 0) throw kernelError(`pinning ${path}`, result);
}

/** @returns a descriptor; undefined where nothing has the name. @throws X0_FLOWS_KERNEL_CALL */
export function openPinned(libc: Libc, path: string): number | undefined {
  const result = call(libc, command.objectGet, path, 0);
  if (result === ENOENT) return undefined;
  if (result < 0) throw kernelError(`opening ${path}`, result);
  return result;
}

function call(libc: Libc, operation: number, path: string, fd: number): number {
  const name = new TextEncoder().encode(`${path}\0`);
  const memory = libc.allocate(name.length);
  try {
    memory.bytes.set(name);
    const { bytes, view } = attributes(16);
    view.setBigUint64(0, memory.address, true);
    view.setUint32(8, fd, true);
    return libc.bpf(operation, bytes);
  } finally {
    memory.free();
  }
}
