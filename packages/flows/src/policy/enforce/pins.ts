/**
 * What keeps a policy in force without the agent: its maps and its links to devices have names in a BPF file system.
 * The next agent with the same programs takes the maps over and puts its own programs into the links. One with other
 * programs attaches them beside those that are there, puts the policy in force in its own maps, and only then takes
 * the old ones away. So no packet passes unjudged.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, type Stats, statSync, unlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { messageOf, X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { updateLink } from "../../kernel/bpf.ts";
import type { Libc } from "../../kernel/libc.ts";
import type { BpfObject } from "../../kernel/object.ts";
import { openPinned, pin } from "../../kernel/pins.ts";
import { LINKS, namesIn, ownFolder, removeDead, removePinned } from "./pinned.ts";

/** The state of policy; all else begins anew with each agent. */
export const pinnedMaps = [
  "policy",
  "generations",
  "automata",
  "connections",
  "exempt",
  "admitted",
  "asked",
  "resolvers",
  "name_settings",
  "workloads",
  "workload_paths",
] as const;
export type PinnedMap = (typeof pinnedMaps)[number];

const BPF_FOLDER = "/sys/fs/bpf";

/** What programs of another version remember, as far as the next can make use of it. */
export interface LeftMaps {
  readonly connections: number | undefined;
  readonly admitted: number | undefined;
}

export interface Pins {
  /** Of an agent before this one; empty where there was none. They stay open until `close`. */
  readonly maps: Partial<Readonly<Record<PinnedMap, number>>>;
  /** Of agents with other programs. What they have attached goes on judging beside ours until `removeLeft`. */
  left(): readonly LeftMaps[];
  /** Whether names are given now. */
  readonly isOn: boolean;
  /**
   * A link that an agent before this one left, with this program in it from now on.
   * @returns undefined where there is none, its device is gone, or it is of a kind that keeps its program
   */
  takeOver(name: string, program: number): number | undefined;
  /** Gives names to the maps from now on, and to links as they come. @throws X0_FLOWS_POLICY_PINNED */
  turnOn(maps: Readonly<Record<PinnedMap, number>>, links: ReadonlyMap<string, number>): void;
  /** Takes all names away: what is attached lives as long as this process. @throws X0_FLOWS_POLICY_PINNED */
  turnOff(): void;
  /** Ends what programs of other versions do; ours must be judging by then. @throws X0_FLOWS_POLICY_PINNED */
  removeLeft(): void;
  link(name: string, link: number): void;
  /** Of a device that is gone. */
  forget(name: string): void;
  /** Takes away what begins so, but for this one. */
  forgetOthers(prefix: string, name: string): void;
  close(): void;
}

/**
 * Names the programs and maps that belong together. Maps are shared with the very same programs only: what their
 * bytes mean need not show in their sizes.
 */
export function setName(
  { btf, maps, programs }: BpfObject<string, string>,
  sizes: { readonly connections: number },
): string {
  const hash = createHash("sha256")
    .update(btf)
    .update(JSON.stringify([maps, sizes]));
  for (const { instructions, relocations } of programs) hash.update(instructions).update(relocations);
  return `programs-${hash.digest("hex").slice(0, 16)}`;
}

/**
 * @param set as of `setName`.
 * @param folder of this network namespace, in a BPF file system; it need not exist.
 * @throws X0_FLOWS_POLICY_PINNED
 */
export function openPins(libc: Libc, set: string, folder: string = ownFolder(libc)): Pins {
  const own = join(folder, set);
  const links = join(own, LINKS);
  const folders = [dirname(folder), folder, own, links];
  for (const path of folders) requireOwn(path);
  removeDead(libc, folder);
  const opened = new Map<PinnedMap, number>();
  const isThere = existsSync(own);
  for (const name of isThere ? pinnedMaps : []) {
    const map = openPinned(libc, join(own, name));
    if (map !== undefined) opened.set(name, map);
  }
  // Half of them are none: whoever made or removed them was cut short, and nothing has to be in force by them.
  let isOn = opened.size === pinnedMaps.length;
  if (isThere && !isOn) removePinned(own);
  const left = new Map(
    namesIn(folder)
      .filter((name) => name !== set)
      .map((name) => {
        const of = (map: PinnedMap): number | undefined => openPinned(libc, join(folder, name, map));
        return [name, { connections: of("connections"), admitted: of("admitted") }] as const;
      }),
  );
  const closeLeft = (): void => {
    for (const { connections, admitted } of left.values())
      for (const map of [connections, admitted]) if (map !== undefined) libc.close(map);
    left.clear();
  };
  const remove = (path: string): void => {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  };
  /** What has its name: taking it away to give it again would leave a moment in which a kill ends it. */
  const named = new Set(isOn ? pinnedMaps.map((name) => join(own, name)) : []);
  const give = (fd: number, path: string): void => {
    if (named.has(path)) return;
    remove(path);
    pin(libc, fd, path);
    named.add(path);
  };
  return {
    maps: isOn ? Object.fromEntries(opened) : {},
    left: () => [...left.values()],
    get isOn() {
      return isOn;
    },
    takeOver(name, program) {
      if (!isOn) return undefined;
      const path = join(links, name);
      const link = openPinned(libc, path);
      if (link === undefined) return undefined;
      if (updateLink(libc, link, program) >= 0) {
        named.add(path);
        return link;
      }
      // It keeps its name, and does what it does, until another takes that.
      libc.close(link);
      return undefined;
    },
    turnOn(mapsNow, linksNow) {
      try {
        mountIfMissing();
        for (const path of folders) {
          makeFolder(path);
          requireOwn(path);
        }
        for (const name of pinnedMaps) give(mapsNow[name], join(own, name));
        for (const [name, link] of linksNow) give(link, join(links, name));
      } catch (error) {
        if (error instanceof X0Error && error.code === "X0_FLOWS_POLICY_PINNED") throw error;
        throw flowsFail("X0_FLOWS_POLICY_PINNED", `nothing can be pinned in ${own}: ${messageOf(error)}`, {
          hint: "run as root, with a BPF file system on /sys/fs/bpf that may be written to",
          cause: error,
        });
      }
      isOn = true;
    },
    turnOff() {
      closeLeft();
      // Who may not look there has pinned nothing.
      if (existsSync(folder)) removePinned(folder);
      named.clear();
      isOn = false;
    },
    removeLeft() {
      for (const name of left.keys()) removePinned(join(folder, name));
      closeLeft();
    },
    link(name, link) {
      if (isOn) give(link, join(links, name));
    },
    forget(name) {
      if (!isOn) return;
      const path = join(links, name);
      remove(path);
      named.delete(path);
    },
    forgetOthers(prefix, name) {
      if (!isOn) return;
      for (const other of namesIn(links))
        if (other.startsWith(prefix) && other !== name) remove(join(links, other));
    },
    close() {
      closeLeft();
      for (const map of opened.values()) libc.close(map);
    },
  };
}

/**
 * What others can write to may hold their maps and programs in place of ours.
 * @throws X0_FLOWS_POLICY_PINNED
 */
function requireOwn(path: string): void {
  let found: Stats | undefined;
  try {
    found = statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // Nothing is taken from where this process may not look.
    if ((error as NodeJS.ErrnoException).code === "EACCES") return;
    throw error;
  }
  if (found === undefined) return;
  const isOurs = found.uid === 0 || found.uid === process.geteuid?.();
  if (isOurs && (found.mode & 0o022) === 0) return;
  throw flowsFail("X0_FLOWS_POLICY_PINNED", `others than root can write to ${path}`, {
    hint: `look what is in it, then: rm -r ${path}`,
  });
}

/** One at a time: of several at once, Node says ENOENT where a file system is read-only. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

/** Only where it stays when this process ends. @throws X0_FLOWS_POLICY_PINNED */
function mountIfMissing(): void {
  const isMounted = statSync(BPF_FOLDER).dev !== statSync(join(BPF_FOLDER, "..")).dev;
  if (isMounted) return;
  // Numbers of mounts are unique; the link to init's namespace may be read with CAP_SYS_PTRACE only.
  const mountsOf = (pid: string): Set<string> =>
    new Set(
      readFileSync(`/proc/${pid}/mountinfo`, "utf8")
        .split("\n")
        .flatMap((line) => /^\d+/.exec(line)?.[0] ?? []),
    );
  if (mountsOf("self").isDisjointFrom(mountsOf("1")))
    throw flowsFail(
      "X0_FLOWS_POLICY_PINNED",
      `nothing can be pinned: no BPF file system is on ${BPF_FOLDER}, and one that is mounted by this process would end with it`,
      { hint: `it has a mount namespace of its own: mount -t bpf bpf ${BPF_FOLDER} outside, and let it in` },
    );
  execFileSync("mount", ["-t", "bpf", "bpf", BPF_FOLDER]);
}
