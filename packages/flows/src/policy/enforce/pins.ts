/**
 * What keeps a policy in force without the agent: its maps and its links to devices have names in a BPF file system.
 * The next agent takes the maps over and puts its own programs into the links, so that no packet passes unjudged.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, statSync, unlinkSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../../errors.ts";
import { updateLink } from "../../kernel/bpf.ts";
import type { Libc } from "../../kernel/libc.ts";
import { openPinned, pin } from "../../kernel/pins.ts";
import { ownFolder, removePinned } from "./pinned.ts";

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

export interface Pins {
  /** Of an agent before this one; empty where there was none. They stay open until `close`. */
  readonly maps: Partial<Readonly<Record<PinnedMap, number>>>;
  /** Whether names are given now. */
  readonly isOn: boolean;
  /**
   * A link that an agent before this one left, with this program in it from now on.
   * @returns undefined where there is none, or its device is gone
   */
  takeOver(name: string, program: number): number | undefined;
  /** Gives names to the maps from now on, and to links as they come. @throws X0_FLOWS_POLICY_PINNED */
  turnOn(maps: Readonly<Record<PinnedMap, number>>, links: ReadonlyMap<string, number>): void;
  /** Takes all names away: what is attached lives as long as this process. @throws X0_FLOWS_POLICY_PINNED */
  turnOff(): void;
  link(name: string, link: number): void;
  /** Of a device that is gone. */
  forget(name: string): void;
  close(): void;
}

/** @param folder in a BPF file system; it need not exist. */
export function openPins(libc: Libc, folder: string = ownFolder()): Pins {
  const opened = new Map<PinnedMap, number>();
  for (const name of pinnedMaps) {
    const map = existsSync(folder) ? openPinned(libc, join(folder, name)) : undefined;
    if (map !== undefined) opened.set(name, map);
  }
  // Half of them are none: whoever made them was cut short, before anything was in force by them.
  const maps = opened.size === pinnedMaps.length ? Object.fromEntries(opened) : {};
  let isOn = opened.size === pinnedMaps.length;
  const links = join(folder, "links");
  const remove = (path: string): void => {
    try {
      unlinkSync(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  };
  /** What has its name: taking it away to give it again would leave a moment in which a kill ends it. */
  const named = new Set(isOn ? pinnedMaps.map((name) => join(folder, name)) : []);
  const give = (fd: number, path: string): void => {
    if (named.has(path)) return;
    remove(path);
    pin(libc, fd, path);
    named.add(path);
  };
  return {
    maps,
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
      libc.close(link);
      remove(path);
      return undefined;
    },
    turnOn(mapsNow, linksNow) {
      try {
        mountIfMissing();
        mkdirSync(links, { recursive: true, mode: 0o700 });
        for (const name of pinnedMaps) give(mapsNow[name], join(folder, name));
        for (const [name, link] of linksNow) give(link, join(links, name));
      } catch (error) {
        throw flowsFail("X0_FLOWS_POLICY_PINNED", `nothing can be pinned in ${folder}: ${messageOf(error)}`, {
          hint: "run as root, with a BPF file system on /sys/fs/bpf",
          cause: error,
        });
      }
      isOn = true;
    },
    turnOff() {
      removePinned(folder);
      named.clear();
      isOn = false;
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
    close() {
      for (const map of opened.values()) libc.close(map);
    },
  };
}

function mountIfMissing(): void {
  const isMounted = statSync(BPF_FOLDER).dev !== statSync(join(BPF_FOLDER, "..")).dev;
  if (!isMounted) execFileSync("mount", ["-t", "bpf", "bpf", BPF_FOLDER]);
}
