/**
 * Puts the counting programs on every lowest device of the observed namespaces and keeps up with devices that
 * come and go. tcx links where the kernel has them; they die with the process. Else clsact filters.
 *
 * Attaching costs about 8 ms a link (the kernel waits for an RCU grace period): loopback and the devices of the
 * default routes come first, the rest one at a time between reads.
 */
import { readFileSync } from "node:fs";
import { X0Error } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import {
  attachType,
  attributes,
  command,
  createLink,
  loadProgram,
  mapAccess,
  programType,
  tcxPrograms,
} from "../kernel/bpf.ts";
import { attachClsact, detachClsact } from "../kernel/clsact.ts";
import { type Interface, type InterfaceWatch, watchInterfaces } from "../kernel/interfaces.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { type NetworkNamespace, openNamespace } from "../kernel/namespaces.ts";
import { type Netlink, openNetlink } from "../kernel/netlink.ts";
import type { ProgramName } from "../kernel/programs.ts";

const LOOPBACK_INDEX = 1;
const BPF_F_BEFORE = 8;
const NETLINK_ROUTE = 0;
const ENODEV = -19;
const REMEMBERED_NAMES = 65_536;

export type AttachMode = "auto" | "tcx" | "clsact";

export type Direction = "ingress" | "egress";

export interface Attachments {
  readonly mode: "tcx" | "clsact";
  /** Attaches to the next waiting device. @returns false if none waits. */
  step(): boolean;
  /** Looks for new and removed devices. */
  poll(): void;
  /** Devices that are watched, and those that cannot be, with the reason. */
  summary(): { readonly attached: number; readonly skipped: readonly string[] };
  /** Inode of a namespace by our number. */
  namespaceInode(number: number): number;
  /** Programs that stand before the shipped one on some devices; the kernel books the run time of both to them. */
  stubs(direction: Direction): readonly number[];
  interfaceName(namespace: number, index: number): string;
  close(): void;
}

interface Device {
  readonly links: readonly number[];
  readonly createdQdisc: boolean;
}

interface Observed {
  readonly number: number;
  readonly namespace: NetworkNamespace;
  readonly watch: InterfaceWatch;
  readonly netlink: Netlink;
  readonly devices: Map<number, Device>;
  readonly names: Map<number, string>;
  readonly skipped: Map<number, string>;
  waiting: Interface[];
}

export interface AttachOptions {
  readonly programs: Readonly<Record<ProgramName, number>>;
  readonly mode: AttachMode;
  /** Namespaces beside the agent's own. */
  readonly namespaces: readonly string[];
  /** Told of each namespace that this process may not enter; the others are observed. */
  readonly onForbidden: (namespace: string, error: X0Error) => void;
}

/** Attaches to the first devices of the agent's own namespace. @throws X0_FLOWS_NAMESPACE, X0_FLOWS_KERNEL_CALL */
export function openAttachments(libc: Libc, options: AttachOptions): Attachments {
  const { programs, namespaces } = options;
  const stubs = stubMaker(libc, programs);
  const observed: Observed[] = [];
  const close = (): void => {
    for (const one of observed) {
      one.namespace.run(() => {
        for (const [index, device] of one.devices) detach(one, index, device);
      });
      one.watch.close();
      one.netlink.close();
      one.namespace.close();
    }
    stubs.close();
  };
  let mode: "tcx" | "clsact" = "tcx";

  const detach = (one: Observed, index: number, device: Device): void => {
    one.devices.delete(index);
    for (const link of device.links) libc.close(link);
    if (mode === "clsact") detachClsact(one.netlink, index, device.createdQdisc);
  };

  const attach = (one: Observed, device: Interface): void => {
    const { index, headerBytes = 14 } = device;
    const ingress = index === LOOPBACK_INDEX ? undefined : stubs.program("ingress", one.number, headerBytes);
    const egress = stubs.program("egress", one.number, headerBytes);
    if (mode === "clsact") {
      const { createdQdisc } = attachClsact(one.netlink, index, {
        egress,
        ...(ingress === undefined ? {} : { ingress }),
      });
      one.devices.set(index, { links: [], createdQdisc });
      return;
    }
    const links: number[] = [];
    for (const [program, type] of [
      [ingress, attachType.tcxIngress],
      [egress, attachType.tcxEgress],
    ] as const) {
      if (program === undefined) continue;
      const link = createLink(libc, program, index, type, BPF_F_BEFORE);
      if (link < 0) {
        for (const made of links) libc.close(made);
        // It went away between the news and now.
        if (link === ENODEV) return;
        throw kernelError(`attaching to ${device.name}`, link);
      }
      links.push(link);
    }
    one.devices.set(index, { links, createdQdisc: false });
  };

  const enqueue = (one: Observed, found: readonly Interface[]): void => {
    for (const device of found) {
      one.names.set(device.index, device.name);
      // Flows outlive their device, so names are kept when it goes; hosts of containers make new ones for ever.
      if (one.names.size > REMEMBERED_NAMES) one.names.delete(one.names.keys().next().value as number);
      if (one.devices.has(device.index) || one.waiting.some((waiting) => waiting.index === device.index))
        continue;
      if (device.headerBytes === undefined)
        one.skipped.set(device.index, `${device.name} (link type not supported)`);
      else if (!device.upper) one.waiting.push(device);
    }
  };

  /** A missing privilege costs this one namespace; one that does not exist is a mistake of the operator. */
  const enterable = (place: string | undefined): NetworkNamespace | undefined => {
    try {
      return openNamespace(libc, place);
    } catch (error) {
      if (place === undefined || !(error instanceof X0Error) || error.code !== "X0_FLOWS_NAMESPACE_FORBIDDEN")
        throw error;
      options.onForbidden(place, error);
      return undefined;
    }
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
        one.skipped.set(device.index, `${device.name} (${(error as Error).message})`);
      }
    });
    return true;
  };

  try {
    for (const [number, place] of [undefined, ...namespaces].entries()) {
      const namespace = enterable(place);
      if (namespace === undefined) continue;
      if (observed.some((other) => other.namespace.inode === namespace.inode)) {
        namespace.close();
        continue;
      }
      observed.push(
        namespace.run(() => ({
          number,
          namespace,
          watch: watchInterfaces(libc),
          netlink: openNetlink(libc, NETLINK_ROUTE),
          devices: new Map(),
          names: new Map(),
          skipped: new Map(),
          waiting: [],
        })),
      );
    }
    mode = chooseMode(libc, options.mode);
    for (const one of observed)
      one.namespace.run(() => {
        const found = one.watch.list();
        // Filters of a predecessor that was killed.
        for (const device of found) detachClsact(one.netlink, device.index, true);
        enqueue(one, found);
        const first = firstDevices();
        const rank = (device: Interface): number =>
          device.index === LOOPBACK_INDEX ? 0 : first.has(device.name) ? 1 : device.up ? 2 : 3;
        one.waiting.sort((a, b) => rank(a) - rank(b));
        if (one.number !== 0) return;
        const urgent = one.waiting.filter((device) => rank(device) <= 1).length;
        for (let done = 0; done < urgent; done++) step();
      });
  } catch (error) {
    close();
    throw error;
  }

  return {
    mode,
    step,
    poll() {
      for (const one of observed) {
        const news = one.watch.changes();
        for (const index of news.removed) {
          const device = one.devices.get(index);
          one.waiting = one.waiting.filter((waiting) => waiting.index !== index);
          one.skipped.delete(index);
          if (device === undefined) continue;
          one.devices.delete(index);
          // A link to a removed device holds memory until it is closed.
          for (const link of device.links) libc.close(link);
        }
        enqueue(one, news.relist ? one.namespace.run(() => one.watch.list()) : news.added);
      }
    },
    summary: () => ({
      attached: observed.reduce((sum, one) => sum + one.devices.size, 0),
      skipped: observed.flatMap((one) => [...one.skipped.values()]),
    }),
    stubs: stubs.of,
    namespaceInode: (number) => observed.find((one) => one.number === number)?.namespace.inode ?? 0,
    interfaceName: (namespace, index) =>
      observed.find((one) => one.number === namespace)?.names.get(index) ?? `if${index}`,
    close,
  };
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

function kernelRelease(): string {
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

/**
 * The program for a namespace and link type. The agent's own Ethernet devices get the shipped one; for all others
 * a stub writes the namespace's number and the header's length into the packet's control block and jumps on.
 */
function stubMaker(
  libc: Libc,
  programs: Readonly<Record<ProgramName, number>>,
): {
  program(direction: Direction, namespace: number, headerBytes: number): number;
  of(direction: Direction): number[];
  close(): void;
} {
  const made = new Map<string, number>();
  let jumps = -1;
  return {
    program(direction, namespace, headerBytes) {
      if (namespace === 0 && headerBytes === 14) return programs[`x0_${direction}`];
      if (jumps < 0) jumps = jumpTable(libc, [programs.x0_ingress_cb, programs.x0_egress_cb]);
      const key = `${direction} ${namespace} ${headerBytes}`;
      let program = made.get(key);
      if (program === undefined) {
        const instructions = stub(
          jumps,
          direction === "ingress" ? 0 : 1,
          namespace,
          headerBytes === 0 ? 0 : 1,
        );
        program = loadProgram(libc, { type: programType.schedCls, instructions, name: `x0_${direction}_ns` });
        made.set(key, program);
      }
      return program;
    },
    of: (direction) =>
      [...made].filter(([key]) => key.startsWith(`${direction} `)).map(([, program]) => program),
    close() {
      for (const program of made.values()) libc.close(program);
      // The kernel empties the table when its last descriptor goes.
      if (jumps >= 0) libc.close(jumps);
    },
  };
}

function jumpTable(libc: Libc, targets: readonly number[]): number {
  const MAP_TYPE_PROG_ARRAY = 3;
  const { bytes, view } = attributes(72);
  for (const [index, value] of [MAP_TYPE_PROG_ARRAY, 4, 4, targets.length].entries())
    view.setUint32(index * 4, value, true);
  const map = libc.bpf(command.mapCreate, bytes);
  if (map < 0) throw kernelError("creating a program array", map);
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  try {
    for (const [index, target] of targets.entries()) {
      key.view.setUint32(0, index, true);
      value.view.setUint32(0, target, true);
      const result = mapAccess(libc).update(map, key, value);
      if (result < 0) throw kernelError("filling a program array", result);
    }
  } finally {
    key.free();
    value.free();
  }
  return map;
}

/** `cb[0] = namespace; cb[1] = ethernet; tail_call(jumps, slot); return TC_ACT_UNSPEC` (instruction-set.rst). */
function stub(jumps: number, slot: number, namespace: number, ethernet: number): Uint8Array {
  const CB = 48;
  const TAIL_CALL = 12;
  const instruction = (
    code: number,
    destination: number,
    source: number,
    offset: number,
    immediate: number,
  ): Uint8Array => {
    const { bytes, view } = attributes(8);
    bytes[0] = code;
    bytes[1] = destination | (source << 4);
    view.setInt16(2, offset, true);
    view.setInt32(4, immediate, true);
    return bytes;
  };
  const MOVE = 0xb7;
  const STORE = 0x63;
  return new Uint8Array(
    Buffer.concat([
      instruction(MOVE, 2, 0, 0, namespace),
      instruction(STORE, 1, 2, CB, 0),
      instruction(MOVE, 2, 0, 0, ethernet),
      instruction(STORE, 1, 2, CB + 4, 0),
      // A 64-bit load of a map by its descriptor takes two slots.
      instruction(0x18, 2, 1, 0, jumps),
      instruction(0, 0, 0, 0, 0),
      instruction(MOVE, 3, 0, 0, slot),
      instruction(0x85, 0, 0, 0, TAIL_CALL),
      instruction(MOVE, 0, 0, 0, -1),
      instruction(0x95, 0, 0, 0, 0),
    ]),
  );
}
