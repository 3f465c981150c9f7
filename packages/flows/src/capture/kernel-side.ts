/**
 * Everything of ours in the kernel: loads the programs, attaches the socket hooks, finds the owners of sockets
 * that are older than we are, then attaches to the devices. What cannot be had is a feature that says why.
 */
import { closeSync, constants, openSync, readSync } from "node:fs";
import { type Feature, messageOf, X0Error } from "@x0tta6bl4/core";
import { type Application, applications } from "../application.ts";
import { flowsFail } from "../errors.ts";
import { programNames, program as programNumber, totalsLayout } from "../generated/layout.ts";
import type { DropReasons } from "../insight/drop-reasons.ts";
import {
  attachType,
  createLink,
  enableRunTimeStatistics,
  mapAccess,
  openRawTracepoint,
  programInfo,
  runIterator,
} from "../kernel/bpf.ts";
import { cgroupRoot } from "../kernel/cgroups.ts";
import { possibleCpus } from "../kernel/cpus.ts";
import { fitOutFlowTable, flowTableSizes } from "../kernel/flow-table.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { type Loaded, loadObject, NOT_LOADED } from "../kernel/load.ts";
import { namespaceCookie } from "../kernel/namespaces.ts";
import type { BpfObject } from "../kernel/object.ts";
import { type MapName, type ProgramName, shippedPrograms } from "../kernel/programs.ts";
import { openPins, type Pins, setName } from "../policy/enforce/pins.ts";
import { protocolNumbers } from "../protocols.ts";
import { type Attachments, kernelRelease, openAttachments } from "./attachments.ts";
import type { CaptureOptions, ProgramTotals } from "./contract.ts";
import { writeHarmless } from "./drop-counts.ts";

/** Which program hangs on which hook of the root cgroup. */
export const socketHooks = [
  ["x0_socket", attachType.socketCreate],
  ["x0_connect4", attachType.connect4],
  ["x0_connect6", attachType.connect6],
  ["x0_sendmsg4", attachType.sendmsg4],
  ["x0_sendmsg6", attachType.sendmsg6],
  ["x0_connection", attachType.socketOps],
] as const;

export interface Tracepoint {
  readonly program: ProgramName;
  /** None for a program that has it in its own BTF. */
  readonly name: string | undefined;
  readonly feature: string;
}

const useFeature = "processes that use what others opened";
const dropsFeature = "packets that the kernel drops";
const useTracepoints: readonly Tracepoint[] = [
  { program: "x0_received", name: undefined, feature: useFeature },
  { program: "x0_sent", name: undefined, feature: useFeature },
];
const dropsTracepoint: Tracepoint = { program: "x0_dropped", name: "kfree_skb", feature: dropsFeature };

export const tracepoints: readonly Tracepoint[] = [...useTracepoints, dropsTracepoint];

/** Loaded when the first device comes that needs them. */
const forOthers: readonly ProgramName[] = ["x0_ingress_cb", "x0_egress_cb"];

/** Names as metrics show them: the programs that share an entry of `totals`, and its number. */
const programs = {
  ingress: [["x0_ingress"], programNumber.ingress],
  egress: [["x0_egress"], programNumber.egress],
  socket: [["x0_socket"], programNumber.socket],
  connect: [["x0_connect4", "x0_connect6"], programNumber.connect],
  sendmsg: [["x0_sendmsg4", "x0_sendmsg6"], programNumber.sendmsg],
  connection: [["x0_connection"], programNumber.connection],
  sockets: [["x0_sockets"], programNumber.sockets],
  used: [["x0_received", "x0_sent"], programNumber.used],
  drops: [["x0_dropped"], programNumber.drops],
} as const satisfies Readonly<Record<string, readonly [readonly ProgramName[], number]>>;

/** Sums over all CPUs and programs of what the kernel side counted. */
export interface KernelTotals {
  readonly packets: number;
  readonly bytes: number;
  readonly uncounted: number;
  readonly notIp: number;
  readonly malformed: number;
  readonly lostEvents: number;
  /** Payloads and drops that were not told, to keep the ring for flows. */
  readonly skipped: number;
  readonly programs: readonly ProgramTotals[];
}

export interface KernelSide {
  readonly maps: Readonly<Record<MapName, number>>;
  /** The program that admits addresses of names. */
  readonly admit: number;
  readonly pins: Pins;
  readonly attachments: Attachments;
  readonly cgroupRoot: string | undefined;
  features(): readonly Feature[];
  totals(): KernelTotals;
  /** Tells the kernel side of namespaces that have come. */
  noteNamespaces(): void;
  /** From now on tells what the kernel drops. Idempotent. */
  watchDrops(reasons: DropReasons): void;
  /** From now on judges what local workloads send and receive. Idempotent. @throws X0_FLOWS_KERNEL_CALL */
  judgeSockets(): void;
  /** Of all programs that judge, by the names that pins know. */
  judgingLinks(): ReadonlyMap<string, number>;
  /** Looks again for owners of sockets that nobody claimed. */
  findOwners(): void;
  close(): void;
}

/**
 * @param read the programs; read anew for each load, so that nobody keeps their bytes.
 * @throws X0_FLOWS_KERNEL_CALL, X0_FLOWS_NAMESPACE, X0_FLOWS_KERNEL_TOO_OLD
 */
export function openKernelSide(
  libc: Libc,
  options: CaptureOptions,
  read: () => BpfObject<MapName, ProgramName> = shippedPrograms,
): KernelSide {
  const object = read();
  const pins = openPins(libc, setName(object, { connections: options.maxConnections }));
  const loaded = loadObject<MapName, ProgramName>(libc, object, {
    maps: pins.maps,
    programs: programNames.filter((name) => !forOthers.includes(name) && !socketJudges.includes(name)),
    maxEntries: {
      ...flowTableSizes(options.maxFlows),
      connections: options.maxConnections,
      events: options.ringBytes,
      // Where nothing is timed, no memory is spent on it.
      turns: options.services.some(({ application }) => isTimed(application)) ? 16_384 : 1,
    },
  });
  const descriptors: number[] = [];
  const socketLinks = new Map<string, number>();
  const features: Feature[] = [];
  let attachments: Attachments | undefined;
  const close = (): void => {
    attachments?.close();
    pins.close();
    for (const descriptor of [...descriptors.splice(0), ...socketLinks.values()]) libc.close(descriptor);
    socketLinks.clear();
    loaded.close();
  };
  try {
    fitOutFlowTable(libc, loaded.maps.table, options.maxFlows);
    const root = cgroupRoot();
    features.push(attachSocketHooks(libc, loaded, root, descriptors));
    features.push(findOlderSockets(libc, loaded));
    features.push(...attachTracepoints(libc, loaded, descriptors, useTracepoints));
    writeServices(libc, loaded.maps.services, options.services);
    let statistics = -1;
    if (options.runTimeStatistics) {
      statistics = enableRunTimeStatistics(libc);
      if (statistics >= 0) descriptors.push(statistics);
      features.push(statisticsFeature(statistics));
    }
    attachments = openAttachments(libc, {
      programs: {
        ingress: loaded.programs.x0_ingress,
        egress: loaded.programs.x0_egress,
        others() {
          const { maps } = loaded;
          const { programs, close } = loadObject(libc, read(), { maps, programs: forOthers });
          return { ingress: programs.x0_ingress_cb, egress: programs.x0_egress_cb, close };
        },
      },
      pins,
      tag: "x0tta6bl4:flows",
      mode: options.attach,
      interfaces: { include: options.interfaces, exclude: options.excludeInterfaces },
      namespaces: { include: options.namespaces, exclude: options.excludeNamespaces },
      unobserved: loaded.maps.unobserved,
      onForbidden: (namespace, error) => features.push(off(`network namespace ${namespace}`, error)),
    });
    const devices = attachments;
    const noteNamespaces = namespaceWriter(libc, loaded.maps.namespaces, devices);
    noteNamespaces();
    const readTotals = totalsReader(libc, loaded.maps.totals);
    const runSeconds = (name: ProgramName): number => {
      const stubs =
        name === "x0_ingress"
          ? devices.stubs("ingress")
          : name === "x0_egress"
            ? devices.stubs("egress")
            : [];
      return [loaded.programs[name], ...stubs].reduce(
        (sum, each) => sum + (each === NOT_LOADED ? 0 : programInfo(libc, each).runSeconds),
        0,
      );
    };
    return {
      maps: loaded.maps,
      admit: loaded.programs.x0_admit,
      pins,
      attachments: devices,
      cgroupRoot: root,
      features: () => [deviceFeature(devices), ...features],
      totals: () => readTotals(statistics >= 0 ? runSeconds : undefined),
      noteNamespaces,
      watchDrops(reasons) {
        if (features.some(({ name }) => name === dropsFeature)) return;
        if (reasons.known === 0) {
          const reason = "the kernel tells no reasons of drops; they came with Linux 5.17";
          features.push({ name: dropsFeature, state: "degraded", reason });
          return;
        }
        writeHarmless(libc, loaded.maps.harmless, reasons);
        features.push(...attachTracepoints(libc, loaded, descriptors, [dropsTracepoint]));
      },
      judgeSockets() {
        if (socketLinks.size > 0) return;
        for (const [name, link] of attachSocketJudges(libc, read(), loaded, pins, root))
          socketLinks.set(name, link);
      },
      judgingLinks() {
        if (devices.mode === "clsact")
          throw flowsFail("X0_FLOWS_POLICY_PINNED", `nothing can be pinned: ${whyClsact(options.attach)}`, {
            hint: "apply without --pin: the policy then holds as long as the agent runs",
          });
        return new Map([...devices.links(), ...socketLinks]);
      },
      findOwners: () => void findOlderSockets(libc, loaded),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** Filters of clsact outlive us, but the next agent cannot put its programs in their place without a gap. */
function whyClsact(mode: CaptureOptions["attach"]): string {
  return mode === "clsact"
    ? 'it takes tcx, and flows.attach is "clsact"'
    : `it takes tcx (Linux 6.6), this is ${kernelRelease()}`;
}

function deviceFeature(attachments: Attachments): Feature {
  const { attached, skipped, leftOut, unmatched } = attachments.summary();
  const devices = `${attachments.mode} on ${attached} ${attached === 1 ? "device" : "devices"}`;
  const detail = leftOut === 0 ? devices : `${devices}, ${leftOut} left out`;
  const reasons = [
    ...(skipped.length === 0 ? [] : [`not observed: ${skipped.join(", ")}`]),
    ...(unmatched.length === 0 ? [] : [`nothing is called ${unmatched.join(", ")}`]),
  ];
  if (reasons.length === 0) return { name: "packets", state: "on", detail };
  return {
    name: "packets",
    state: "degraded",
    detail,
    reason: reasons.join("; "),
    ...(unmatched.length === 0 ? {} : { hint: "check flows.interfaces and flows.namespaces" }),
  };
}

function attachSocketHooks(
  libc: Libc,
  loaded: Loaded<MapName, ProgramName>,
  root: string | undefined,
  descriptors: number[],
): Feature {
  const name = "processes of flows";
  if (root === undefined)
    return {
      name,
      state: "off",
      reason: "no cgroup v2 hierarchy is mounted",
      hint: "mount -t cgroup2 none /sys/fs/cgroup/unified",
    };
  const folder = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const [program, type] of socketHooks) {
      const link = createLink(libc, loaded.programs[program], folder, type);
      if (link < 0) throw kernelError(`attaching ${program} to the cgroup ${root}`, link);
      descriptors.push(link);
    }
    return { name, state: "on" };
  } catch (error) {
    return off(name, error);
  } finally {
    closeSync(folder);
  }
}

const socketJudges: readonly ProgramName[] = ["x0_socket_in", "x0_socket_out", "x0_cgroup_made"];

/** Judges what the sockets of workloads send and receive, and meets units as they start. */
function attachSocketJudges(
  libc: Libc,
  object: BpfObject<MapName, ProgramName>,
  { maps }: Loaded<MapName, ProgramName>,
  pins: Pins,
  root: string | undefined,
): Map<string, number> {
  if (root === undefined)
    throw flowsFail(
      "X0_FLOWS_KERNEL_TOO_OLD",
      "workloads are told by their cgroup, and no cgroup v2 is mounted",
      {
        hint: "mount -t cgroup2 none /sys/fs/cgroup/unified",
      },
    );
  using closing = new DisposableStack();
  const judges = closing.adopt(loadObject(libc, object, { maps, programs: socketJudges }), (all) =>
    all.close(),
  );
  const folder = closing.adopt(openSync(root, constants.O_RDONLY | constants.O_DIRECTORY), closeSync);
  const links = new Map<string, number>();
  const attach = (name: string, program: number, create: () => number): void => {
    const left = pins.takeOver(name, program);
    const link = left ?? create();
    if (link < 0) {
      for (const made of links.values()) libc.close(made);
      throw kernelError(`attaching ${name} to the cgroup ${root}`, link);
    }
    if (left === undefined) pins.link(name, link);
    links.set(name, link);
  };
  const { x0_socket_in, x0_socket_out, x0_cgroup_made } = judges.programs;
  attach("socket-in", x0_socket_in, () => createLink(libc, x0_socket_in, folder, attachType.socketIngress));
  attach("socket-out", x0_socket_out, () => createLink(libc, x0_socket_out, folder, attachType.socketEgress));
  attach("cgroup-made", x0_cgroup_made, () => openRawTracepoint(libc, x0_cgroup_made));
  return links;
}

function attachTracepoints(
  libc: Libc,
  loaded: Loaded<MapName, ProgramName>,
  descriptors: number[],
  tracepoints: readonly Tracepoint[],
): readonly Feature[] {
  const features = new Map<string, Feature>();
  for (const { program, name, feature } of tracepoints) {
    if (loaded.programs[program] === NOT_LOADED) {
      const reason = "the kernel has no tracepoint of a socket's use; it came with Linux 6.3";
      features.set(feature, { name: feature, state: "degraded", reason });
      continue;
    }
    const link = openRawTracepoint(libc, loaded.programs[program], name);
    if (link >= 0) {
      descriptors.push(link);
      if (!features.has(feature)) features.set(feature, { name: feature, state: "on" });
    } else features.set(feature, off(feature, kernelError(`attaching ${program}`, link)));
  }
  return [...features.values()];
}

/** Tells the kernel side which ports speak what. */
function writeServices(libc: Libc, map: number, services: CaptureOptions["services"]): void {
  const key = libc.allocate(4);
  const value = libc.allocate(4);
  const access = mapAccess(libc);
  for (const { protocol, port, application } of services) {
    key.view.setUint32(0, (protocolNumbers[protocol] << 16) | port, true);
    value.view.setUint32(0, applications.indexOf(application) + 1, true);
    const result = access.update(map, key, value);
    if (result < 0) throw kernelError("telling the ports of services", result);
  }
  key.free();
  value.free();
}

/** The kernel knows namespaces by cookie: what this returns tells it our numbers of those that have come. */
function namespaceWriter(libc: Libc, map: number, attachments: Attachments): () => void {
  const told = new Set<number>();
  const access = mapAccess(libc);
  return () => {
    const fresh = attachments.namespaces().filter(({ number }) => !told.has(number));
    if (fresh.length === 0) return;
    const key = libc.allocate(8);
    const value = libc.allocate(4);
    for (const { number, namespace } of fresh) {
      key.view.setBigUint64(
        0,
        namespace.run(() => namespaceCookie(libc)),
        true,
      );
      value.view.setUint32(0, number, true);
      const result = access.update(map, key, value);
      if (result < 0) throw kernelError("telling the observed namespaces", result);
      told.add(number);
    }
    key.free();
    value.free();
  };
}

/** Whether its requests are timed: all that is recognised only by a port, but DNS. */
function isTimed(application: Application): boolean {
  return applications.indexOf(application) > applications.indexOf("quic");
}

function findOlderSockets(libc: Libc, loaded: Loaded<MapName, ProgramName>): Feature {
  const name = "processes older than the agent";
  const buffer = Buffer.alloc(4096);
  try {
    runIterator(libc, loaded.programs.x0_sockets, (fd) => {
      while (readSync(fd, buffer) > 0);
    });
    return { name, state: "on" };
  } catch (error) {
    return off(name, error);
  }
}

function statisticsFeature(result: number): Feature {
  const name = "run time of BPF programs";
  if (result >= 0) return { name, state: "on" };
  return {
    name,
    state: "off",
    reason: "the kernel's run-time statistics need CAP_SYS_ADMIN",
    hint: "run as root, add CAP_SYS_ADMIN, or set flows.run_time_statistics = false",
  };
}

function off(name: string, error: unknown): Feature {
  const hint = error instanceof X0Error ? error.hint : undefined;
  return { name, state: "off", reason: messageOf(error), ...(hint === undefined ? {} : { hint }) };
}

/**
 * Reads `totals`, the counters of each program.
 *
 * @param map its descriptor; the reader that returns takes what tells a program's run time, where that is measured.
 */
export function totalsReader(
  libc: Libc,
  map: number,
): (runSeconds?: (program: ProgramName) => number) => KernelTotals {
  const cpus = possibleCpus();
  const key = libc.allocate(4);
  const value = libc.allocate(totalsLayout.size * cpus);
  const access = mapAccess(libc);
  const field = (at: number): number => {
    let sum = 0;
    for (let cpu = 0; cpu < cpus; cpu++)
      sum += Number(value.view.getBigUint64(cpu * totalsLayout.size + at, true));
    return sum;
  };
  return (runSeconds) => {
    const sums = { packets: 0, bytes: 0, uncounted: 0, notIp: 0, malformed: 0, lostEvents: 0, skipped: 0 };
    const each = Object.entries(programs).map(([name, [sharing, number]]): ProgramTotals => {
      key.view.setUint32(0, number, true);
      const result = access.lookup(map, key, value);
      if (result < 0) throw kernelError("reading the programs' totals", result);
      const lost = field(totalsLayout.lost);
      if (number === programNumber.ingress || number === programNumber.egress) {
        sums.packets += field(totalsLayout.packets);
        sums.bytes += field(totalsLayout.bytes);
        sums.uncounted += field(totalsLayout.uncounted);
        sums.notIp += field(totalsLayout.notIp);
        sums.malformed += field(totalsLayout.malformed);
      }
      // Those of the socket programs are sockets without storage.
      if (
        number !== programNumber.socket &&
        number !== programNumber.connect &&
        number !== programNumber.sendmsg
      )
        sums.lostEvents += lost;
      sums.skipped += field(totalsLayout.skipped);
      const counted = { name, events: field(totalsLayout.events), lost };
      if (runSeconds === undefined) return counted;
      const each: readonly ProgramName[] = sharing;
      return { ...counted, runSeconds: each.reduce((sum, program) => sum + runSeconds(program), 0) };
    });
    return { ...sums, programs: each };
  };
}
