/**
 * The systemd unit and the container of a process, told from its cgroup's path: systemd's own layout, and those of
 * Docker, Podman, containerd, CRI-O, LXC and systemd-nspawn, with systemd as cgroup driver or without.
 */

import { escapeText } from "./text.ts";

export interface Workload {
  /** The innermost service, scope, socket or the like that is not just a container's; null where there is none. */
  readonly unit: string | null;
  /** Id of 64 hexadecimal digits, or the name of an LXC container or of a machine. */
  readonly container: string | null;
}

/** Of a path: the kernel's PATH_MAX. Of its folders: cgroup.max.depth is unlimited, real ones have about 10. */
const MAX_PATH = 4096;
const MAX_FOLDERS = 64;

const unitName = /\.(service|scope|mount|socket|swap)$/;
/** What helps a container to live is none: conmon, and LXC's monitor. */
const helper = /^(?:[a-z]+-)?conmon[-.]|-conmon-|^lxc\.monitor/;
const containerId = /^(?:.*[-:])?([0-9a-f]{64})(?:\.scope)?$/;
const machineScope = /^machine-(.+)\.scope$/;
const nspawnService = /^systemd-nspawn@(.+)\.service$/;
const lxcPayload = /^lxc\.payload[./](.+)$/;

/** @param path below the root of the hierarchy, as in /proc/PID/cgroup. */
export function workloadOf(path: string): Workload {
  const folders = path
    .slice(0, MAX_PATH)
    .replace(/ \(deleted\)$/, "")
    .split("/", MAX_FOLDERS);
  let unit: string | null = null;
  let container: string | null = null;
  for (const [index, folder] of folders.entries()) {
    const found = helper.test(folder) ? undefined : containerOf(folder, folders[index - 1]);
    // What lies inside a container or a machine belongs to it: its own units are the more telling ones.
    if (found !== undefined) container = found;
    const isOnlyContainer = found !== undefined && folder.endsWith(".scope");
    if (unitName.test(folder) && !isOnlyContainer) unit = escapeText(unescapeUnit(folder));
  }
  return { unit, container };
}

function containerOf(folder: string, parent: string | undefined): string | undefined {
  const id = containerId.exec(folder)?.[1];
  if (id !== undefined) return id;
  const name = machineScope.exec(folder) ?? nspawnService.exec(folder) ?? lxcPayload.exec(folder);
  if (name !== null) return escapeText(unescapeUnit(name[1] as string));
  return parent === "lxc" && folder !== "" ? escapeText(folder) : undefined;
}

/** `\x2d` stands for what a unit's name may not have: systemd.unit(5). */
function unescapeUnit(name: string): string {
  return name.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
