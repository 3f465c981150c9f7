/**
 * Puts programs on every lowest device that is selected, in every namespace that is, and keeps up with devices and
 * namespaces that come, go or get another name. tcx links where the kernel has them; they die with the process. Else
 * clsact filters.
 *
 * Attaching costs about 8 ms a link (the kernel waits for an RCU grace period): loopback and the devices of the
 * default routes come first, the rest one at a time between reads.
 */
import { readFileSync, statSync } from "node:fs";
import { messageOf, X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { attachType, createLink, tcxPrograms, updateLink } from "../kernel/bpf.ts";
import { attachClsact, detachClsact } from "../kernel/clsact.ts";
import { type Interface, type InterfaceWatch, watchInterfaces } from "../kernel/interfaces.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { type NetworkNamespace, namespacePath, openNamespace } from "../kernel/namespaces.ts";
import { type Netlink, openNetlink } from "../kernel/netlink.ts";
import { matchesPattern, type Selection, selectNamespaces, selects } from "./selection.ts";
import { type DevicePrograms, type DeviceRole, type Direction, stubMaker } from "./stubs.ts";
import { unobservedDevices } from "./unobserved.ts";

const LOOPBACK_INDEX = 1;
const BPF_F_BEFORE = 8;
const NETLINK_ROUTE = 0;
const ENODEV = -19;
const REMEMBERED_NAMES = 65_536;
/** Of the table that stubs jump by: while an agent takes over from another, both need theirs. */
const JUMPS_PREFIX = "jumps-";
const JUMPS = `${JUMPS_PREFIX}${process.pid}`;
/** A flow key has 16 bits for it. */
const MOST_NAMESPACES = 65_535;

export type AttachMode = "auto" | "tcx" | "clsact";

/** A namespace whose devices are observed. */
export interface ObservedNamespace {
  /** Our number of it, which flow keys carry; 0 is the agent's own. */
  readonly number: number;
  readonly namespace: NetworkNamespace;
}

export interface Attachments {
  readonly mode: "tcx" | "clsact";
  /** Attaches to the next waiting device. @returns false if none waits. */
  step(): boolean;
  /** Looks for new and removed devices and namespaces. */
  poll(): void;
  /**
   * From now on whatever reaches or leaves the agent's own namespace meets a program that judges it, also on devices
   * that repeat others' packets or are left out; returns when it does. Idempotent.
   */
  judge(): void;
  /** Of the agent's own namespace, by the names that pins know. */
  links(): ReadonlyMap<string, number>;
  /** Devices that are watched, those that cannot be, with the reason, and what the selection did. */
  summary(): AttachmentSummary;
  /** Devices that have our programs now. */
  devices(): readonly ObservedDevice[];
  /** The namespaces that are observed now. */
  namespaces(): readonly ObservedNamespace[];
  /** Inode of a namespace by our number. */
  namespaceInode(number: number): number;
  /** Programs that stand before the shipped one on some devices; the kernel books the run time of both to them. */
  stubs(direction: Direction): readonly number[];
  interfaceName(namespace: number, index: number): string;
  close(): void;
}

export interface ObservedDevice {
  readonly netns: number;
  readonly index: number;
  readonly name: string;
  readonly headerBytes: 14 | 0;
}

export interface AttachmentSummary {
  readonly attached: number;
  readonly skipped: readonly string[];
  /** Devices that the selection leaves out. */
  readonly leftOut: number;
  /** Patterns of what to observe that match nothing that is there. */
  readonly unmatched: readonly string[];
}

interface Attached {
  readonly links: readonly { readonly link: number; readonly direction: Direction }[];
  readonly createdQdisc: boolean;
  role: DeviceRole;
}

interface Observed extends ObservedNamespace {
  readonly place: string | undefined;
  readonly watch: InterfaceWatch;
  readonly netlink: Netlink;
  /** All of the namespace. */
  readonly present: Map<number, Interface>;
  readonly devices: Map<number, Attached>;
  readonly skipped: Map<number, string>;
  waiting: Interface[];
}

/** What stays known of a namespace when it is gone: its flows live longer. */
interface Remembered {
  readonly inode: number;
  readonly names: Map<number, string>;
}

/** Links with names that outlive the process: `<device>-<direction>`. */
export interface LinkPins {
  takeOver(name: string, program: number): number | undefined;
  link(name: string, link: number): void;
  forget(name: string): void;
  /** Takes away what older agents named so. */
  forgetOthers(prefix: string, name: string): void;
}

export interface AttachOptions {
  readonly programs: DevicePrograms;
  /** By which filters of ours are known where they outlive us. */
  readonly tag: string;
  readonly mode: AttachMode;
  /** Of devices, by name. */
  readonly interfaces: Selection;
  /** Of namespaces beside the agent's own: names below /run/netns, patterns of names, paths. */
  readonly namespaces: Selection;
  /** A map from (namespace << 32 | device) for lowest devices that are not observed, for what they forward. */
  readonly unobserved?: number;
  /**
   * Our number of a namespace, where another observer has given it one; undefined if that does not know it yet: then
   * it is asked again at the next poll. Default: numbers in the order in which namespaces are met.
   */
  readonly numberOf?: (namespace: NetworkNamespace) => number | undefined;
  /** Keeps links of the agent's own namespace beyond its life. */
  readonly pins?: LinkPins | undefined;
  /** Told of each namespace that this process may not enter; the others are observed. */
  readonly onForbidden: (namespace: string, error: X0Error) => void;
}

/** Attaches to the first devices of the agent's own namespace. @throws X0_FLOWS_NAMESPACE, X0_FLOWS_KERNEL_CALL */
export function openAttachments(libc: Libc, options: AttachOptions): Attachments {
  const { programs, tag } = options;
  const stubs = stubMaker(libc, programs);
  const unobserved = unobservedDevices(libc, options.unobserved, (name) => selects(options.interfaces, name));
  const observed: Observed[] = [];
  const remembered = new Map<number, Remembered>();
  /** Places that may not be entered or hold no namespace, with the reason. */
  const refused = new Map<string, string>();
  let unmatchedNamespaces: readonly string[] = [];
  let nextNumber = 0;
  let isJudging = false;
  let isClosing = false;
  let mode: "tcx" | "clsact" = "tcx";

  const release = (one: Observed): void => {
    one.namespace.run(() => {
      for (const index of [...one.devices.keys()]) detach(one, index);
    });
    unobserved.forget(one.number);
    one.watch.close();
    one.netlink.close();
    one.namespace.close();
  };
  const close = (): void => {
    isClosing = true;
    for (const one of observed.splice(0)) release(one);
    stubs.close();
  };

  const forgetPins = (one: Observed, index: number, { links }: Attached): void => {
    if (one.number === 0 && !isClosing)
      for (const { direction } of links) options.pins?.forget(pinName(index, direction));
  };

  const detach = (one: Observed, index: number): void => {
    const device = one.devices.get(index);
    if (device === undefined) return;
    one.devices.delete(index);
    forgetPins(one, index, device);
    for (const { link } of device.links) libc.close(link);
    if (mode === "clsact") detachClsact(one.netlink, index, tag, device.createdQdisc);
  };

  const attach = (one: Observed, device: Interface): void => {
    const { index } = device;
    const role = roleOf(one, device);
    if (role === undefined) return;
    const programFor = (direction: Direction): number => programOf(one, device, direction, role);
    const ingress = index === LOOPBACK_INDEX ? undefined : programFor("ingress");
    const egress = programFor("egress");
    if (mode === "clsact") {
      const attached = { egress, ...(ingress === undefined ? {} : { ingress }) };
      const { createdQdisc } = attachClsact(one.netlink, index, tag, attached);
      one.devices.set(index, { links: [], createdQdisc, role });
      return;
    }
    const links: { link: number; direction: Direction }[] = [];
    for (const [direction, program, type] of [
      ["ingress", ingress, attachType.tcxIngress],
      ["egress", egress, attachType.tcxEgress],
    ] as const) {
      if (program === undefined) continue;
      const pins = one.number === 0 ? options.pins : undefined;
      const name = pinName(index, direction);
      const left = pins?.takeOver(name, program);
      const link = left ?? createLink(libc, program, index, type, BPF_F_BEFORE);
      if (left === undefined && link >= 0) pins?.link(name, link);
      if (link < 0) {
        for (const made of links) libc.close(made.link);
        // It went away between the news and now.
        if (link === ENODEV) return;
        throw kernelError(`attaching to ${device.name}`, link);
      }
      links.push({ link, direction });
    }
    one.devices.set(index, { links, createdQdisc: false, role });
  };

  /** Undefined for devices that get no program. */
  const roleOf = (one: Observed, device: Interface): DeviceRole | undefined => {
    if (device.headerBytes === undefined) return undefined;
    const counts = selects(options.interfaces, device.name) && !device.upper;
    if (!isJudging || one.number !== 0) return counts ? "both" : undefined;
    // Of the frames of a port only those are for this host that its master hands on.
    const isPort = one.present.get(device.master)?.hasPorts === true;
    if (isPort) return counts ? "count" : undefined;
    if (counts) return "both";
    return device.upper ? "judgeAbove" : "judge";
  };

  const programOf = (one: Observed, device: Interface, direction: Direction, role: DeviceRole): number => {
    const hadJumps = stubs.jumps >= 0;
    const program = stubs.program(direction, one.number, device.headerBytes ?? 14, role);
    // Before a link with a name leads to it.
    if (!hadJumps && stubs.jumps >= 0) options.pins?.link(JUMPS, stubs.jumps);
    return program;
  };

  /** Where it has got another part to play: no packet slips through between the two programs. */
  const turnTo = (one: Observed, device: Interface, role: DeviceRole): void => {
    const attached = one.devices.get(device.index);
    if (attached === undefined || attached.role === role) return;
    if (mode === "clsact") {
      one.namespace.run(() => {
        detach(one, device.index);
        attach(one, device);
      });
      return;
    }
    for (const { link, direction } of attached.links) {
      const result = updateLink(libc, link, programOf(one, device, direction, role));
      if (result < 0) throw kernelError(`changing the program of ${device.name}`, result);
    }
    attached.role = role;
  };

  const namesOf = (number: number): Map<number, string> => (remembered.get(number) as Remembered).names;

  /** A device that is new, or has changed; a new name may change whether it is selected. */
  const meet = (one: Observed, device: Interface): void => {
    const { index, name } = device;
    const names = namesOf(one.number);
    one.present.set(index, device);
    names.set(index, name);
    // Flows outlive their device, so names are kept when it goes; hosts of containers make new ones for ever.
    if (names.size > REMEMBERED_NAMES) names.delete(names.keys().next().value as number);
    one.skipped.delete(index);
    const role = roleOf(one, device);
    if (role === undefined) {
      one.waiting = one.waiting.filter((waiting) => waiting.index !== index);
      if (one.devices.has(index)) one.namespace.run(() => detach(one, index));
      if (device.headerBytes === undefined && (isJudging || selects(options.interfaces, name)))
        one.skipped.set(index, `${name} (link type not supported)`);
    } else if (one.devices.has(index)) turnTo(one, device, role);
    else if (!one.waiting.some((waiting) => waiting.index === index)) one.waiting.push(device);
  };

  const forget = (one: Observed, index: number): void => {
    one.present.delete(index);
    one.waiting = one.waiting.filter((waiting) => waiting.index !== index);
    one.skipped.delete(index);
    const device = one.devices.get(index);
    one.devices.delete(index);
    if (device !== undefined) forgetPins(one, index, device);
    // A link to a removed device holds memory until it is closed.
    for (const { link } of device?.links ?? []) libc.close(link);
  };

  const relist = (one: Observed): void => {
    const found = one.namespace.run(() => one.watch.list());
    for (const index of [...one.present.keys()])
      if (!found.some((device) => device.index === index)) forget(one, index);
    for (const device of found) meet(one, device);
  };

  /** Observes one more namespace, unless it is observed by another name. @throws what `openNamespace` throws */
  const enter = (place: string | undefined): void => {
    const namespace = openNamespace(libc, place);
    if (nextNumber > MOST_NAMESPACES || observed.some((one) => one.namespace.inode === namespace.inode)) {
      namespace.close();
      return;
    }
    const number =
      place === undefined || options.numberOf === undefined ? nextNumber++ : options.numberOf(namespace);
    if (number === undefined) {
      namespace.close();
      return;
    }
    remembered.set(number, { inode: namespace.inode, names: new Map() });
    const one: Observed = namespace.run(() => ({
      number,
      place,
      namespace,
      watch: watchInterfaces(libc),
      netlink: openNetlink(libc, NETLINK_ROUTE),
      present: new Map(),
      devices: new Map(),
      skipped: new Map(),
      waiting: [],
    }));
    observed.push(one);
    const found = namespace.run(() => one.watch.list());
    // Filters of a predecessor that was killed.
    namespace.run(() => {
      for (const device of found) detachClsact(one.netlink, device.index, tag, true);
    });
    for (const device of found) meet(one, device);
    unobserved.settle(one.number, one.present);
    const first = namespace.run(firstDevices);
    const rank = (device: Interface): number =>
      device.index === LOOPBACK_INDEX ? 0 : first.has(device.name) ? 1 : device.up ? 2 : 3;
    one.waiting.sort((a, b) => rank(a) - rank(b));
    if (number !== 0) return;
    const urgent = one.waiting.filter((device) => rank(device) <= 1).length;
    for (let done = 0; done < urgent; done++) step();
  };

  /**
   * A missing privilege costs this one namespace; one that is named and does not exist is a mistake of the operator,
   * at the start only: later it may come and go.
   */
  const tryEnter = (place: string, mustExist: boolean): void => {
    if (refused.has(place) || observed.some((one) => one.place === place)) return;
    try {
      enter(place);
    } catch (error) {
      if (error instanceof X0Error && error.code === "X0_FLOWS_NAMESPACE_FORBIDDEN") {
        refused.set(place, messageOf(error));
        options.onForbidden(place, error);
      } else if (mustExist) throw error;
      else refused.set(place, messageOf(error));
    }
  };

  /** Lets go of namespaces whose names are gone, so that they can end, and takes in new ones. */
  const lookForNamespaces = (isStart: boolean): void => {
    const { named, matched } = selectNamespaces(options.namespaces);
    for (const one of [...observed]) {
      if (one.place === undefined || inodeOf(one.place) === one.namespace.inode) continue;
      observed.splice(observed.indexOf(one), 1);
      release(one);
    }
    for (const place of [...refused.keys()]) if (inodeOf(place) === undefined) refused.delete(place);
    for (const place of named) if (isStart || inodeOf(place) !== undefined) tryEnter(place, isStart);
    for (const place of matched) tryEnter(place, false);
    unmatchedNamespaces = options.namespaces.include.filter(
      (pattern) => pattern.includes("*") && !matched.some((name) => matchesPattern(pattern, name)),
    );
  };

  const step = (): boolean => {
    const one = observed.find((candidate) => candidate.waiting.length > 0);
    const device = one?.waiting.shift();
    if (one === undefined || device === undefined) return false;
    one.namespace.run(() => {
      try {
        attach(one, device);
      } catch (error) {
        if (one.number === 0 && one.devices.size === 0) throw error;
        one.skipped.set(device.index, `${device.name} (${messageOf(error)})`);
      }
    });
    return true;
  };

  try {
    mode = chooseMode(libc, options.mode);
    enter(undefined);
    lookForNamespaces(true);
  } catch (error) {
    close();
    throw error;
  }

  return {
    mode,
    step,
    poll() {
      if (options.namespaces.include.length > 0) lookForNamespaces(false);
      for (const one of observed) {
        const news = one.watch.changes();
        const isNews = news.relist || news.removed.length > 0 || news.added.length > 0;
        if (news.relist) relist(one);
        else {
          for (const index of news.removed) forget(one, index);
          for (const device of news.added) meet(one, device);
        }
        if (isNews) unobserved.settle(one.number, one.present);
      }
    },
    judge() {
      if (isJudging) return;
      isJudging = true;
      const own = observed.find(({ number }) => number === 0);
      if (own === undefined) return;
      // Masters come after their ports in no order: whether a device is a port is known from all of them.
      for (const device of [...own.present.values()]) meet(own, device);
      while (own.waiting.length > 0) step();
      // No link leads to those of an agent before this one any more.
      options.pins?.forgetOthers(JUMPS_PREFIX, JUMPS);
    },
    links() {
      const own = observed.find(({ number }) => number === 0);
      const links = [...(own?.devices ?? [])].flatMap(([index, { links }]) =>
        links.map(({ link, direction }) => [pinName(index, direction), link] as const),
      );
      return new Map(stubs.jumps < 0 ? links : [[JUMPS, stubs.jumps], ...links]);
    },
    summary() {
      const all = observed.flatMap((one) => [...one.present.values()]);
      return {
        attached: observed.reduce((sum, one) => sum + one.devices.size, 0),
        skipped: observed.flatMap((one) => [...one.skipped.values()]),
        leftOut: all.filter(({ name }) => !selects(options.interfaces, name)).length,
        unmatched: [
          ...options.interfaces.include.filter(
            (pattern) => !all.some(({ name }) => matchesPattern(pattern, name)),
          ),
          ...unmatchedNamespaces,
        ],
      };
    },
    devices: () =>
      observed.flatMap((one) =>
        [...one.devices.keys()].map((index) => ({
          netns: one.number,
          index,
          name: one.present.get(index)?.name ?? `if${index}`,
          headerBytes: one.present.get(index)?.headerBytes ?? 14,
        })),
      ),
    namespaces: () => observed,
    stubs: stubs.of,
    namespaceInode: (number) => remembered.get(number)?.inode ?? 0,
    interfaceName: (namespace, index) => remembered.get(namespace)?.names.get(index) ?? `if${index}`,
    close,
  };
}

function pinName(index: number, direction: Direction): string {
  return `${index}-${direction}`;
}

function inodeOf(place: string): number | undefined {
  return statSync(namespacePath(place), { throwIfNoEntry: false })?.ino;
}

/** @throws X0_FLOWS_KERNEL_TOO_OLD where tcx is demanded and missing. */
function chooseMode(libc: Libc, wanted: AttachMode): "tcx" | "clsact" {
  if (wanted === "clsact") return "clsact";
  if (tcxPrograms(libc, LOOPBACK_INDEX, attachType.tcxEgress) !== undefined) return "tcx";
  if (wanted === "auto") return "clsact";
  throw flowsFail("X0_FLOWS_KERNEL_TOO_OLD", `tcx needs Linux 6.6, this is ${kernelRelease()}`, {
    hint: 'set flows.attach = "auto"',
  });
}

export function kernelRelease(): string {
  return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
}

/** Devices of the default routes of this thread's namespace. */
function firstDevices(): Set<string> {
  const found = new Set<string>();
  const lines = (name: string): string[][] => {
    try {
      return readFileSync(`/proc/thread-self/net/${name}`, "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/));
    } catch (error) {
      // No IPv6 in this kernel or namespace.
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
      throw error;
    }
  };
  for (const fields of lines("route"))
    if (fields[1] === "00000000" && fields[0] !== undefined) found.add(fields[0]);
  for (const fields of lines("ipv6_route"))
    if (fields[1] === "00" && fields[9] !== undefined && fields[9] !== "lo") found.add(fields[9]);
  return found;
}
