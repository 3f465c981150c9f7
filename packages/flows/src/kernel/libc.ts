/**
 * The C library and bpf(2), through koffi. Loaded on first use: replay, filters and `x0 --help` need none of it.
 *
 * Whatever the kernel keeps an address of lies in off-heap memory (`allocate`, `map`): the garbage collector
 * moves and frees JavaScript buffers while the kernel may still write to them.
 */
import { createRequire } from "node:module";
import { flowsFail } from "../errors.ts";

export interface Memory {
  readonly address: bigint;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly view: DataView<ArrayBuffer>;
  /** After this the views must not be touched: they would read whatever comes next. */
  free(): void;
}

export interface Reserved extends Memory {
  /** Maps a piece that begins and ends at pages. */
  reach(offsetBytes: number, lengthBytes: number): void;
}

/** Calls return what the kernel does, or the negative errno. */
export interface Libc {
  /** One bpf(2) command; the kernel reads and writes `attributes` during the call only. */
  bpf(command: number, attributes: Uint8Array): number;
  /** Zeroed memory, freed only by `free`. */
  allocate(sizeBytes: number): Memory;
  /** Shared mapping of a file descriptor. @throws X0_FLOWS_KERNEL_CALL */
  map(fd: number, lengthBytes: number, offsetBytes: number, writable: boolean): Memory;
  /**
   * Addresses for a shared, writable mapping of which `reach` maps one piece after the other: what is not mapped is
   * not resident, and must not be touched. @throws X0_FLOWS_KERNEL_CALL, also of `reach`
   */
  reserve(fd: number, lengthBytes: number): Reserved;
  /** Gives back to the system what was freed, of all threads. @returns 1 if there was any, else 0 */
  trim(): number;
  close(fd: number): number;
  /** The same in another thread, for what takes the kernel long to let go; Node's own would warn of a foreign one. */
  closeAside(fd: number): Promise<number>;
  /** Moves the calling thread into a network namespace. */
  setNetworkNamespace(fd: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array): number;
  send(fd: number, message: Uint8Array, flags: number): number;
  receive(fd: number, into: Uint8Array, flags: number): number;
  setSocketOption(fd: number, level: number, option: number, value: Uint8Array): number;
  getSocketOption(fd: number, level: number, option: number, into: Uint8Array): number;
  /** One event of all processes, on processor 0 (a uprobe's is hit on all); the kernel reads `attributes` now only. */
  openPerfEvent(attributes: Uint8Array): number;
  /** An ioctl whose argument is a number. */
  control(fd: number, request: number, argument: number): number;
}

const bpfSystemCall: Readonly<Record<string, number>> = { x64: 321, arm64: 280, riscv64: 280, s390x: 351 };
const perfEventSystemCall: Readonly<Record<string, number>> = {
  x64: 298,
  arm64: 241,
  riscv64: 241,
  s390x: 331,
};
const PERF_FLAG_FD_CLOEXEC = 8;
const CLONE_NEWNET = 0x40000000;
const PROT_NONE = 0;
const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;
const MAP_FIXED = 0x10;
/** MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE */
const MAP_ADDRESSES = 0x4022;

/** @throws X0_FLOWS_NOT_LINUX, X0_FLOWS_NO_LIBC */
export function openLibc(): Libc {
  const number = bpfSystemCall[process.arch];
  if (process.platform !== "linux" || number === undefined)
    throw flowsFail(
      "X0_FLOWS_NOT_LINUX",
      `flows are observed on Linux only, this is ${process.platform} on ${process.arch}`,
      {
        hint: "x0 flows observe --replay FILE reads a capture on any system",
      },
    );
  let koffi: typeof import("koffi");
  let library: import("koffi").LibraryHandle;
  try {
    koffi = createRequire(import.meta.url)("koffi");
    library = koffi.load("libc.so.6");
  } catch (error) {
    throw flowsFail(
      "X0_FLOWS_NO_LIBC",
      "the C library could not be loaded (glibc's libc.so.6, through koffi)",
      {
        cause: error,
        hint: "run x0 on a distribution with glibc",
      },
    );
  }
  const functions = {
    systemCall: library.func("long syscall(long number, long first, void *second, long third)"),
    perfEventOpen: library.func(
      "long syscall(long number, void *attributes, long pid, long cpu, long group, long flags)",
    ),
    ioctl: library.func("int ioctl(int fd, unsigned long request, long argument)"),
    mmap: library.func(
      "void *mmap(void *address, size_t length, int protection, int flags, int fd, long offset)",
    ),
    mapAt: library.func(
      "void *mmap(size_t address, size_t length, int protection, int flags, int fd, long offset)",
    ),
    munmap: library.func("int munmap(void *address, size_t length)"),
    trim: library.func("int malloc_trim(size_t padding)"),
    close: library.func("int close(int fd)"),
    setns: library.func("int setns(int fd, int type)"),
    socket: library.func("int socket(int domain, int type, int protocol)"),
    bind: library.func("int bind(int fd, void *address, unsigned int length)"),
    send: library.func("long send(int fd, void *message, size_t length, int flags)"),
    receive: library.func("long recv(int fd, void *into, size_t length, int flags)"),
    setsockopt: library.func(
      "int setsockopt(int fd, int level, int option, void *value, unsigned int length)",
    ),
    getsockopt: library.func("int getsockopt(int fd, int level, int option, void *value, void *length)"),
  };
  const checked = (result: number | bigint): number => {
    const value = Number(result);
    return value < 0 ? -koffi.errno() : value;
  };
  const seen = (pointer: unknown, size: number, free: () => void): Memory => {
    const buffer = koffi.view(pointer as never, size) as ArrayBuffer;
    return {
      address: BigInt(koffi.address(pointer as never)),
      bytes: new Uint8Array(buffer),
      view: new DataView(buffer),
      free,
    };
  };
  const mapped = (pointer: unknown): unknown => {
    if (BigInt.asIntN(64, BigInt(koffi.address(pointer as never))) === -1n)
      throw kernelError("mmap of a map", -koffi.errno());
    return pointer;
  };
  return {
    bpf: (command, attributes) =>
      checked(functions.systemCall(number, command, attributes, attributes.byteLength)),
    allocate(sizeBytes) {
      const size = Math.max(8, sizeBytes);
      const pointer = koffi.alloc("uint8_t", size);
      const memory = seen(pointer, size, () => koffi.free(pointer));
      memory.bytes.fill(0);
      return memory;
    },
    map(fd, lengthBytes, offsetBytes, writable) {
      const protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
      const pointer = mapped(functions.mmap(null, lengthBytes, protection, MAP_SHARED, fd, offsetBytes));
      return seen(pointer, lengthBytes, () => functions.munmap(pointer, lengthBytes));
    },
    reserve(fd, lengthBytes) {
      const pointer = mapped(functions.mmap(null, lengthBytes, PROT_NONE, MAP_ADDRESSES, -1, 0));
      const memory = seen(pointer, lengthBytes, () => functions.munmap(pointer, lengthBytes));
      return {
        ...memory,
        reach(offset, length) {
          const flags = MAP_SHARED | MAP_FIXED;
          mapped(
            functions.mapAt(
              memory.address + BigInt(offset),
              length,
              PROT_READ | PROT_WRITE,
              flags,
              fd,
              offset,
            ),
          );
        },
      };
    },
    trim: () => functions.trim(0),
    close: (fd) => checked(functions.close(fd)),
    closeAside: (fd) =>
      new Promise((resolve, reject) =>
        functions.close.async(fd, (error: unknown, result: number) =>
          error === null ? resolve(result) : reject(error),
        ),
      ),
    setNetworkNamespace: (fd) => checked(functions.setns(fd, CLONE_NEWNET)),
    socket: (domain, type, protocol) => checked(functions.socket(domain, type, protocol)),
    bind: (fd, address) => checked(functions.bind(fd, address, address.byteLength)),
    send: (fd, message, flags) => checked(functions.send(fd, message, message.byteLength, flags)),
    receive: (fd, into, flags) => checked(functions.receive(fd, into, into.byteLength, flags)),
    setSocketOption: (fd, level, option, value) =>
      checked(functions.setsockopt(fd, level, option, value, value.byteLength)),
    getSocketOption(fd, level, option, into) {
      const length = new Uint32Array([into.byteLength]);
      return checked(functions.getsockopt(fd, level, option, into, length));
    },
    openPerfEvent: (attributes) =>
      checked(
        functions.perfEventOpen(
          perfEventSystemCall[process.arch],
          attributes,
          -1,
          0,
          -1,
          PERF_FLAG_FD_CLOEXEC,
        ),
      ),
    control: (fd, request, argument) => checked(functions.ioctl(fd, request, argument)),
  };
}

/** A failed call as an error that names the operation, the errno and, where one is known, the cause. */
export function kernelError(operation: string, negativeErrno: number, hint?: string): Error {
  const errno = -negativeErrno;
  const name = errnoNames[errno] ?? `errno ${errno}`;
  return flowsFail("X0_FLOWS_KERNEL_CALL", `${operation} failed: ${name}`, {
    hint: hint ?? errnoHints[errno],
  });
}

const errnoNames: Readonly<Record<number, string>> = {
  1: "EPERM",
  2: "ENOENT",
  7: "E2BIG",
  9: "EBADF",
  11: "EAGAIN",
  12: "ENOMEM",
  13: "EACCES",
  16: "EBUSY",
  17: "EEXIST",
  19: "ENODEV",
  22: "EINVAL",
  28: "ENOSPC",
  95: "EOPNOTSUPP",
  105: "ENOBUFS",
};

const errnoHints: Readonly<Record<number, string>> = {
  1: "run as root, or give the process CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  12: "free memory, or set a smaller flows.max_flows",
  13: "run as root, or give the process CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  22: "this kernel does not know it, or CAP_PERFMON is missing: x0 doctor tells which",
};
