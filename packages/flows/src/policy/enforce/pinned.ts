import { readdirSync, readlinkSync, rmdirSync, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { linkInfo } from "../../kernel/bpf.ts";
import { type Libc, openLibc } from "../../kernel/libc.ts";
import { namespaceCookie } from "../../kernel/namespaces.ts";
import { openPinned } from "../../kernel/pins.ts";

const folderName = /^net-(\d+)-\d+$/;
/** Below the folder of a set of programs. */
export const LINKS = "links";

/**
 * Where `--pin` gives names to what has to outlive the agent. Agents in other network namespaces have folders of their
 * own, also in later ones that the kernel gives the inode of an earlier one: its cookie is never given again.
 */
export function ownFolder(libc: Libc = openLibc()): string {
  const { ino } = statSync("/proc/thread-self/ns/net");
  return `/sys/fs/bpf/x0tta6bl4/net-${ino}-${namespaceCookie(libc)}`;
}

/**
 * Takes the names away from what an agent pinned: links without a name and without a process are detached by the
 * kernel. @returns how many there were
 * @throws X0_FLOWS_POLICY_PINNED
 */
export function removePinned(folder: string): number {
  try {
    return removeBelow(folder);
  } catch (error) {
    throw flowsFail("X0_FLOWS_POLICY_PINNED", `what is pinned in ${folder} stays: ${messageOf(error)}`, {
      hint: "run as root",
      cause: error,
    });
  }
}

/** Names in a folder; none where there is no such folder, or this process may not look. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (["ENOENT", "ENOTDIR", "EACCES"].includes(code)) return [];
    throw error;
  }
}

/**
 * Takes away what was pinned in network namespaces that are gone, beside our own folder. It costs memory only: where it
 * may not be removed it stays for an agent that may.
 */
export function removeDead(libc: Libc, own: string): void {
  for (const name of namesIn(dirname(own))) {
    const folder = join(dirname(own), name);
    const inode = folderName.exec(name)?.[1];
    if (folder === own || inode === undefined) continue;
    try {
      if (isDead(libc, folder, inode)) removePinned(folder);
    } catch (error) {
      if (!(error instanceof X0Error)) throw error;
    }
  }
}

/**
 * A namespace that goes takes its devices along, and with them what the links are on. Where none is left to tell, it
 * is dead unless a process is in a namespace of that inode: it may be about to pin its links.
 */
function isDead(libc: Libc, folder: string, inode: string): boolean {
  let isAttached = false;
  let links = 0;
  for (const set of namesIn(folder))
    for (const name of namesIn(join(folder, set, LINKS))) {
      const link = openPinned(libc, join(folder, set, LINKS, name));
      if (link === undefined) continue;
      const { device } = linkInfo(libc, link);
      libc.close(link);
      if (device === undefined) continue;
      links++;
      isAttached ||= device !== 0;
    }
  return links > 0 ? !isAttached : !isInhabited(inode);
}

function isInhabited(inode: string): boolean {
  return readdirSync("/proc").some((entry) => {
    if (!/^\d+$/.test(entry)) return false;
    try {
      return readlinkSync(`/proc/${entry}/ns/net`) === `net:[${inode}]`;
    } catch {
      // It has ended, or is another user's.
      return false;
    }
  });
}

function removeBelow(folder: string): number {
  const entries = unlessGone(() => readdirSync(folder, { withFileTypes: true })) ?? [];
  // Maps first: cut short here, it is no whole set any more, whatever its links still do.
  entries.sort((a, b) => Number(a.isDirectory()) - Number(b.isDirectory()));
  let removed = 0;
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removed += removeBelow(path);
    else
      unlessGone(() => {
        unlinkSync(path);
        removed++;
      });
  }
  unlessGone(() => rmdirSync(folder));
  return removed;
}

/** An agent that starts at the same time may be taking the same away. */
function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return undefined;
  }
}
