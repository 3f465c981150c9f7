/** Network namespaces: which one this thread is in, and work inside another. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { flowsFail } from "../errors.ts";
import { kernelError, type Libc } from "./libc.ts";

const EPERM = 1;

export interface NetworkNamespace {
  /** Its inode number, as `lsns -t net` prints it. */
  readonly inode: number;
  /** Runs `work` with this thread inside it. Synchronous: what is started in there would stay there. */
  run<T>(work: () => T): T;
  close(): void;
}

/**
 * @param place a path (/run/netns/blue, /proc/4711/ns/net) or a name below /run/netns; undefined: this thread's own.
 * @throws X0_FLOWS_NAMESPACE, X0_FLOWS_NAMESPACE_FORBIDDEN
 */
export function openNamespace(libc: Libc, place?: string): NetworkNamespace {
  // /proc/self would be the main thread's.
  const own = "/proc/thread-self/ns/net";
  const path = place === undefined ? own : namespacePath(place);
  const fd = open(path);
  const namespace: NetworkNamespace = {
    inode: fstatSync(fd).ino,
    run(work) {
      if (place === undefined) return work();
      const back = openSync(own, "r");
      try {
        const entered = libc.setNetworkNamespace(fd);
        if (entered === -EPERM) throw forbidden(path);
        if (entered < 0) throw unusable(path, kernelError("setns", entered));
        try {
          return work();
        } finally {
          libc.setNetworkNamespace(back);
        }
      } finally {
        closeSync(back);
      }
    },
    close: () => closeSync(fd),
  };
  try {
    namespace.run(() => undefined);
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

/** Where a namespace lies that is named below /run/netns or given by its path. */
export function namespacePath(place: string): string {
  return place.includes("/") ? place : `/run/netns/${place}`;
}

function open(path: string): number {
  try {
    return openSync(path, "r");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw code === "EACCES" || code === "EPERM" ? forbidden(path, error) : unusable(path, error);
  }
}

function forbidden(path: string, cause?: unknown): Error {
  return flowsFail("X0_FLOWS_NAMESPACE_FORBIDDEN", `${path} may be entered only with CAP_SYS_ADMIN`, {
    cause,
    hint: "run as root, add CAP_SYS_ADMIN, or take it out of flows.namespaces",
  });
}

function unusable(path: string, cause: unknown): Error {
  return flowsFail("X0_FLOWS_NAMESPACE", `the network namespace ${path} cannot be opened`, {
    cause,
    hint: "ip netns list shows the names; a process's is /proc/PID/ns/net",
  });
}

/** The kernel's own number of the namespace in which this thread is (SO_NETNS_COOKIE). @throws X0_FLOWS_KERNEL_CALL */
export function namespaceCookie(libc: Libc): bigint {
  const [family, datagram, level, option] = [2, 2, 1, 71];
  const socket = libc.socket(family, datagram, 0);
  if (socket < 0) throw kernelError("opening a socket", socket);
  const cookie = new Uint8Array(8);
  const result = libc.getSocketOption(socket, level, option, cookie);
  libc.close(socket);
  if (result < 0) throw kernelError("reading the namespace's cookie", result);
  return new DataView(cookie.buffer).getBigUint64(0, true);
}
