/**
 * Where a process may have OpenSSL: files whose code it has mapped. They are opened through the mapping itself
 * (/proc/PID/map_files), so that no folder on the way, which the process may have arranged, is walked; and never on a
 * file system that asks somebody else for its content and may wait for it for ever: the capturing thread would too.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { basename } from "node:path";
import { escapeText } from "../insight/text.ts";
import { ifAlive, type ServiceProcess } from "./processes.ts";

/** Of /proc/PID/maps and mountinfo, about 100 bytes a line: vm.max_map_count is 65,530, fs.mount-max 100,000. */
const MAX_BYTES = 8 * 1024 * 1024;

/** Kept by another program or another machine. */
const mayHang = /^(fuse|nfs|cifs|smb3|9p|ceph|afs|glusterfs|lustre|virtiofs)/;

export interface MappedFile {
  /** As the process sees it, as text. */
  readonly path: string;
  /** Where it can be opened: first what needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE, then what does not. */
  readonly links: readonly string[];
  /** Why it is not to be opened. */
  readonly reason?: string;
}

/** Libraries that are called so, and the program itself. */
export function opensslFiles(process: ServiceProcess): MappedFile[] {
  const { pid, executable } = process;
  const maps = ifAlive(() => readStart(`/proc/${pid}/maps`)) ?? "";
  const files = new Map<string, MappedFile>();
  let types: ReadonlyMap<string, string> | undefined;
  for (const line of maps.split("\n")) {
    // address perms offset dev inode path
    const match = /^(\w+)-(\w+) ..x. \w+ (\w+:\w+) \d+ +(\/.*)$/.exec(line);
    if (match === null) continue;
    const [, start, end, device, shown] = match as unknown as [string, string, string, string, string];
    const path = shown.replace(/ \(deleted\)$/, "");
    const mayBe = shown === executable || /^libssl[-.]/.test(basename(path));
    if (!mayBe || files.has(shown)) continue;
    types ??= fileSystems(pid);
    const range = [start, end].map((address) => address.replace(/^0+(?=.)/, "")).join("-");
    const links = [`/proc/${pid}/map_files/${range}`];
    // What lies at the path of a deleted file is another one.
    if (path === shown) links.push(`/proc/${pid}/root${path}`);
    files.set(shown, { path: escapeText(path), links, ...refusal(escapeText(path), types.get(device)) });
  }
  return [...files.values()];
}

/** Why a file on a file system of this type is not opened. */
export function refusal(path: string, type: string | undefined): { readonly reason: string } | undefined {
  if (type === undefined) return { reason: `${path} is on a file system that is not mounted any more` };
  return mayHang.test(type) ? { reason: `${path} is on a file system that may hang (${type})` } : undefined;
}

/** Types of what is mounted for the process or for us, by device as /proc/PID/maps writes it. */
function fileSystems(pid: number): ReadonlyMap<string, string> {
  const types = new Map<string, string>();
  for (const owner of ["self", String(pid)])
    for (const line of (ifAlive(() => readStart(`/proc/${owner}/mountinfo`)) ?? "").split("\n")) {
      // id parent major:minor root point options … - type source options
      const [before, after] = line.split(" - ");
      const [major, minor] = (before?.split(" ")[2] ?? "").split(":").map(Number);
      const type = after?.split(" ")[0];
      if (major === undefined || minor === undefined || type === undefined) continue;
      types.set([major, minor].map((number) => number.toString(16).padStart(2, "0")).join(":"), type);
    }
  return types;
}

function readStart(path: string): string {
  const fd = openSync(path, "r");
  try {
    const pieces: Buffer[] = [];
    for (let size = 0; size < MAX_BYTES; ) {
      const piece = Buffer.alloc(65_536);
      const count = readSync(fd, piece);
      if (count === 0) break;
      pieces.push(piece.subarray(0, count));
      size += count;
    }
    return Buffer.concat(pieces).toString("utf8");
  } finally {
    closeSync(fd);
  }
}
