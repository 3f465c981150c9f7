/** The bpf(2) commands that we use, one function each. Layouts: include/uapi/linux/bpf.h, `union bpf_attr`. */
import { kernelError, type Libc, type Memory } from "./libc.ts";

export const command = {
  mapCreate: 0,
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  mapNextKey: 4,
  programLoad: 5,
  objectPin: 6,
  objectGet: 7,
  programTestRun: 10,
  objectInfo: 15,
  programQuery: 16,
  lookupAndDelete: 21,
  lookupBatch: 24,
  updateBatch: 26,
  deleteBatch: 27,
  programIdToFd: 13,
  rawTracepointOpen: 17,
  btfLoad: 18,
  btfIdToFd: 19,
  linkCreate: 28,
  linkUpdate: 29,
  enableStats: 32,
  iteratorCreate: 33,
} as const;

/** `enum bpf_attach_type`, only what we attach. */
export const attachType = {
  socketIngress: 0,
  socketEgress: 1,
  socketCreate: 2,
  socketOps: 3,
  connect4: 10,
  connect6: 11,
  sendmsg4: 14,
  sendmsg6: 15,
  iterator: 28,
  tcxIngress: 46,
  tcxEgress: 47,
} as const;

const EAGAIN = -11;
const ENOENT = -2;
const F_REPLACE = 4;
const NO_EXIST = 1;
const LINK_TCX = 11;

/** A zeroed attribute block and its view; the kernel wants everything after the known fields to be zero. */
export function attributes(sizeBytes: number): {
  bytes: Uint8Array<ArrayBuffer>;
  view: DataView<ArrayBuffer>;
} {
  const bytes = new Uint8Array(sizeBytes);
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Repeats while the verifier gives up because of a pending signal (a child that ended is enough). */
export function retrying(call: () => number): number {
  let result = call();
  for (let attempt = 0; result === EAGAIN && attempt < 100; attempt++) result = call();
  return result;
}

export interface MapAccess {
  /** @returns 0, or the negative errno. */
  lookup(fd: number, key: Memory, value: Memory): number;
  lookupAndDelete(fd: number, key: Memory, value: Memory): number;
  update(fd: number, key: Memory, value: Memory): number;
  /** Unless the key is there: then EEXIST. */
  insert(fd: number, key: Memory, value: Memory): number;
  delete(fd: number, key: Memory): number;
}

/** Single-element operations, with one attribute block for all of them: no allocation a call. */
export function mapAccess(libc: Libc): MapAccess {
  const { bytes, view } = attributes(32);
  const run = (operation: number, fd: number, key: Memory, value: bigint, flags = 0): number => {
    view.setUint32(0, fd, true);
    view.setBigUint64(8, key.address, true);
    view.setBigUint64(16, value, true);
    view.setUint32(24, flags, true);
    return libc.bpf(operation, bytes);
  };
  return {
    lookup: (fd, key, value) => run(command.mapLookup, fd, key, value.address),
    lookupAndDelete: (fd, key, value) => run(command.lookupAndDelete, fd, key, value.address),
    update: (fd, key, value) => run(command.mapUpdate, fd, key, value.address),
    insert: (fd, key, value) => run(command.mapUpdate, fd, key, value.address, NO_EXIST),
    delete: (fd, key) => run(command.mapDelete, fd, key, 0n),
  };
}

/**
 * Reads a whole hash map in batches, calling `visit` with the buffers and how many entries they hold.
 * Buckets are read one after the other: an entry is seen at most once, one that is added meanwhile maybe not.
 *
 * @throws X0_FLOWS_KERNEL_CALL
 */
export function readBatches(
  libc: Libc,
  fd: number,
  buffers: {
    readonly keys: Memory;
    readonly values: Memory;
    readonly cursor: Memory;
    readonly capacity: number;
  },
  visit: (count: number) => void,
): void {
  const { bytes, view } = attributes(56);
  let first = true;
  for (;;) {
    bytes.fill(0);
    if (!first) view.setBigUint64(0, buffers.cursor.address, true);
    view.setBigUint64(8, buffers.cursor.address, true);
    view.setBigUint64(16, buffers.keys.address, true);
    view.setBigUint64(24, buffers.values.address, true);
    view.setUint32(32, buffers.capacity, true);
    view.setUint32(36, fd, true);
    const result = libc.bpf(command.lookupBatch, bytes);
    if (result < 0 && result !== ENOENT) throw kernelError("reading a map in batches", result);
    visit(view.getUint32(32, true));
    if (result === ENOENT) return;
    first = false;
  }
}

/**
 * Deletes many keys with few system calls; those that are gone already are passed over.
 *
 * @param keys of `keyBytes` each, one after the other.
 */
export function deleteKeys(libc: Libc, fd: number, keys: Memory, keyBytes: number, count: number): void {
  const { bytes, view } = attributes(56);
  for (let done = 0; done < count; ) {
    bytes.fill(0);
    view.setBigUint64(16, keys.address + BigInt(done * keyBytes), true);
    view.setUint32(32, count - done, true);
    view.setUint32(36, fd, true);
    const result = libc.bpf(command.deleteBatch, bytes);
    if (result === 0) return;
    if (result !== ENOENT) throw kernelError("deleting from a map", result);
    // It stopped before the key that is gone.
    done += view.getUint32(32, true) + 1;
  }
}

/** @returns a descriptor of the link, or the negative errno. */
export function createLink(libc: Libc, program: number, target: number, type: number, flags = 0): number {
  const { bytes, view } = attributes(64);
  view.setUint32(0, program, true);
  view.setUint32(4, target, true);
  view.setUint32(8, type, true);
  view.setUint32(12, flags, true);
  return libc.bpf(command.linkCreate, bytes);
}

/**
 * Puts another program of the same kind in the place of a link's, without a moment between the two.
 *
 * @param old the program that it must have now; it fails with EPERM where another one is there.
 * @returns 0, or the negative errno.
 */
export function updateLink(libc: Libc, link: number, program: number, old?: number): number {
  const { bytes, view } = attributes(16);
  view.setUint32(0, link, true);
  view.setUint32(4, program, true);
  if (old !== undefined) {
    view.setUint32(8, F_REPLACE, true);
    view.setUint32(12, old, true);
  }
  return libc.bpf(command.linkUpdate, bytes);
}

export interface LinkInfo {
  /** Id of its program. */
  readonly program: number;
  /**
   * Of a tcx link: its device, by the number that it has in its namespace; 0 where the device, or the namespace with
   * all its devices, is gone.
   */
  readonly device: number | undefined;
}

/** What `struct bpf_link_info` says of a link. @throws X0_FLOWS_KERNEL_CALL */
export function linkInfo(libc: Libc, link: number): LinkInfo {
  const INFO = 64;
  const info = libc.allocate(INFO);
  try {
    const { bytes, view } = attributes(16);
    view.setUint32(0, link, true);
    view.setUint32(4, INFO, true);
    view.setBigUint64(8, info.address, true);
    const result = libc.bpf(command.objectInfo, bytes);
    if (result < 0) throw kernelError("reading a link's info", result);
    const [type, , program, , device] = new Uint32Array(info.bytes.buffer) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    return { program, device: type === LINK_TCX ? device : undefined };
  } finally {
    info.free();
  }
}

/**
 * Attaches to a tracepoint without tracefs.
 *
 * @param name of the tracepoint; none for a program that names it itself (tp_btf).
 * @returns a descriptor of the link, or the negative errno.
 */
export function openRawTracepoint(libc: Libc, program: number, name?: string): number {
  const text = libc.allocate(64);
  try {
    const { bytes, view } = attributes(24);
    if (name !== undefined) {
      text.bytes.set(new TextEncoder().encode(name.slice(0, 63)));
      view.setBigUint64(0, text.address, true);
    }
    view.setUint32(8, program, true);
    return libc.bpf(command.rawTracepointOpen, bytes);
  } finally {
    text.free();
  }
}

/** Runs a program once on a packet. @returns its verdict and the nanoseconds a round took. @throws X0_FLOWS_KERNEL_CALL */
export function testRun(
  libc: Libc,
  program: number,
  packet: Uint8Array,
  options: { readonly repeat?: number; readonly context?: Uint8Array } = {},
): { verdict: number; durationNs: number } {
  const data = libc.allocate(packet.length);
  const context = libc.allocate(options.context?.length ?? 0);
  try {
    data.bytes.set(packet);
    if (options.context !== undefined) context.bytes.set(options.context);
    const { bytes, view } = attributes(80);
    view.setUint32(0, program, true);
    view.setUint32(8, packet.length, true);
    view.setBigUint64(16, data.address, true);
    view.setUint32(32, options.repeat ?? 1, true);
    if (options.context !== undefined) {
      view.setUint32(40, options.context.length, true);
      view.setBigUint64(48, context.address, true);
    }
    const result = retrying(() => libc.bpf(command.programTestRun, bytes));
    if (result < 0) throw kernelError("a test run", result);
    return { verdict: view.getInt32(4, true), durationNs: view.getUint32(36, true) };
  } finally {
    data.free();
    context.free();
  }
}

/** What `struct bpf_prog_info` says of a program. @throws X0_FLOWS_KERNEL_CALL */
export function programInfo(
  libc: Libc,
  program: number,
): { id: number; name: string; runSeconds: number; runs: bigint; missed: bigint } {
  const info = libc.allocate(232);
  try {
    const { bytes, view } = attributes(16);
    view.setUint32(0, program, true);
    view.setUint32(4, 232, true);
    view.setBigUint64(8, info.address, true);
    const result = libc.bpf(command.objectInfo, bytes);
    if (result < 0) throw kernelError("reading a program's info", result);
    return {
      id: info.view.getUint32(4, true),
      name: cString(info.bytes.subarray(64, 80)),
      runSeconds: Number(info.view.getBigUint64(192, true)) / 1e9,
      runs: info.view.getBigUint64(200, true),
      // It did not run because it was running on that CPU already.
      missed: info.view.getBigUint64(208, true),
    };
  } finally {
    info.free();
  }
}

/** Ids of the programs on a device's tcx hook, in the order in which they run; undefined without tcx. */
export function tcxPrograms(libc: Libc, ifindex: number, type: number): readonly number[] | undefined {
  const ids = libc.allocate(64 * 4);
  try {
    const { bytes, view } = attributes(64);
    view.setUint32(0, ifindex, true);
    view.setUint32(4, type, true);
    view.setBigUint64(16, ids.address, true);
    view.setUint32(24, 64, true);
    const result = libc.bpf(command.programQuery, bytes);
    if (result < 0) return undefined;
    return Array.from({ length: view.getUint32(24, true) }, (_, index) =>
      ids.view.getUint32(index * 4, true),
    );
  } finally {
    ids.free();
  }
}

/** Opens a program by its id. @returns a descriptor or the negative errno. */
export function programById(libc: Libc, id: number): number {
  const { bytes, view } = attributes(16);
  view.setUint32(0, id, true);
  return libc.bpf(command.programIdToFd, bytes);
}

/** Makes the kernel measure each program's run time while the descriptor is open. Needs CAP_SYS_ADMIN. */
export function enableRunTimeStatistics(libc: Libc): number {
  return libc.bpf(command.enableStats, attributes(16).bytes);
}

/** Runs an iterator program to its end. @throws X0_FLOWS_KERNEL_CALL */
export function runIterator(libc: Libc, program: number, read: (fd: number) => void): void {
  const link = createLink(libc, program, 0, attachType.iterator);
  if (link < 0) throw kernelError("attaching the iterator", link);
  const { bytes, view } = attributes(16);
  view.setUint32(0, link, true);
  const fd = libc.bpf(command.iteratorCreate, bytes);
  libc.close(link);
  if (fd < 0) throw kernelError("starting the iterator", fd);
  try {
    read(fd);
  } finally {
    libc.close(fd);
  }
}

export function cString(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
