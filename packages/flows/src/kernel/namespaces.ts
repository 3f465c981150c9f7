/** Network namespaces: which one this thread is in, and work inside another. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { flowsFail } from "../errors.ts";
import { kernelError, type Libc } from "./libc.ts";

export interface NetworkNamespace {
  /** Its inode number, as `lsns -t net` prints it. */
  readonly inode: number;
  /** Runs `work` with this thread inside it. Synchronous: what is started in there would stay there. */
  run<T>(work: () => T): T;
  close(): void;
}

/**
 * @param place a path (/run/netns/blue, /proc/4711/ns/net) or a name below /run/netns; undefined: this thread's own.
 * @throws X0_FLOWS_NAMESPACE
 */
export function openNamespace(libc: Libc, place?: string): NetworkNamespace {
  // /proc/self would be the main thread's.
  const own = "/proc/thread-self/ns/net";
  const path = place === undefined ? own : place.includes("/") ? place : `/run/netns/${place}`;
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    throw flowsFail("X0_FLOWS_NAMESPACE", `the network namespace ${path} cannot be opened`, {
      cause: error,
      hint: "ip netns list shows the names; a process's is /proc/PID/ns/net",
    });
  }
  return {
    inode: fstatSync(fd).ino,
    run(work) {
      if (place === undefined) return work();
      const back = openSync(own, "r");
      try {
        const entered = libc.setNetworkNamespace(fd);
        if (entered < 0)
          throw kernelError(
            `entering the network namespace ${path}`,
            entered,
            "run as root, or add CAP_SYS_ADMIN",
          );
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
}
