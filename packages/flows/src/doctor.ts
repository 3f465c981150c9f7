/** What this machine offers to flow observation: the programs are really loaded and attached, then released. */
import { closeSync, constants, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { type DoctorEntry, messageOf, X0Error } from "@x0tta6bl4/core";
import { socketHooks, tracepoints } from "./capture/kernel-side.ts";
import type { FlowsConfig } from "./config.ts";
import { hasConntrack } from "./conntrack/conntrack.ts";
import { egress } from "./export/config.ts";
import {
  attachType,
  createLink,
  enableRunTimeStatistics,
  openRawTracepoint,
  programById,
  programInfo,
  runIterator,
  tcxPrograms,
} from "./kernel/bpf.ts";
import { cgroupRoot } from "./kernel/cgroups.ts";
import { flowTableSizes } from "./kernel/flow-table.ts";
import { watchInterfaces } from "./kernel/interfaces.ts";
import { kernelError, type Libc, openLibc } from "./kernel/libc.ts";
import { type Loaded, loadObject, NOT_LOADED } from "./kernel/load.ts";
import { type MapName, type ProgramName, shippedPrograms } from "./kernel/programs.ts";
import { uprobeType } from "./openssl/probes.ts";
import { capability, effectiveCapabilities, hasCapability, missingPrivilege } from "./privilege.ts";

/** It fits the programs to its own types (CO-RE), and has bpf_loop: Linux 5.17. */
const OLDEST = [5, 17] as const;

/** The kernel's names of hooks, where our programs are called otherwise. */
const hookNames: Readonly<Partial<Record<ProgramName, string>>> = {
  x0_socket: "sock_create",
  x0_connection: "sock_ops",
};

/** Programs of type tp_btf carry the tracepoint's name in their BTF only. */
const tracepointNames: Readonly<Partial<Record<ProgramName, string>>> = {
  x0_received: "sock_recv_length",
  x0_sent: "sock_send_length",
};

export async function* doctorEntries(config: FlowsConfig): AsyncIterable<DoctorEntry> {
  if (process.platform === "linux") {
    yield kernelEntry();
    yield btfEntry();
    yield capabilitiesEntry();
  }
  const missing = missingPrivilege();
  if (missing !== undefined) {
    yield {
      subject: "flow observation",
      outcome: "refused",
      detail: missing.reason ?? "not possible here",
      ...(missing.hint === undefined ? {} : { hint: missing.hint }),
    };
    return;
  }
  const libc = openLibc();
  yield* hookEntries(libc, config);
  yield* outletEntries(config);
  yield* neighbourEntries(libc);
}

/** What needs no trial: what the kernel offers beside hooks, and where flows go by the configuration. */
function* outletEntries(config: FlowsConfig): Iterable<DoctorEntry> {
  yield hasConntrack()
    ? { subject: "address translation", outcome: "works", detail: "joined by conntrack" }
    : { subject: "address translation", outcome: "works", detail: "none: nf_conntrack is not loaded" };
  yield uprobeType() === undefined
    ? {
        subject: "probes on OpenSSL",
        outcome: "off",
        detail: "the kernel has no uprobes (CONFIG_UPROBE_EVENTS)",
      }
    : {
        subject: "probes on OpenSSL",
        outcome: config.openssl_services.length === 0 ? "off" : "works",
        detail: config.openssl_services.join(", ") || "possible, for services that are named",
        ...(config.openssl_services.length === 0 ? { hint: 'set flows.openssl_services = ["nginx"]' } : {}),
      };
  yield config.history
    ? {
        subject: "history",
        outcome: "works",
        detail: `at most ${config.history_size} and ${config.history_age}`,
      }
    : { subject: "history", outcome: "off", detail: "turned off", hint: "set flows.history = true" };
  for (const to of egress(config.exports))
    yield { subject: "export", outcome: "works", detail: `sends ${to}` };
}

function kernelEntry(): DoctorEntry {
  const release = readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
  const [major = 0, minor = 0] = release.split(".").map(Number);
  const isNewEnough = major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
  const subject = "kernel";
  if (isNewEnough) return { subject, outcome: "works", detail: `Linux ${release}` };
  return {
    subject,
    outcome: "refused",
    detail: `Linux ${release}, needed is ${OLDEST.join(".")}`,
    hint: "update the kernel",
  };
}

function btfEntry(): DoctorEntry {
  const path = "/sys/kernel/btf/vmlinux";
  if (existsSync(path)) return { subject: "kernel types (BTF)", outcome: "works", detail: path };
  return {
    subject: "kernel types (BTF)",
    outcome: "refused",
    detail: `${path} is missing`,
    hint: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
  };
}

function capabilitiesEntry(): DoctorEntry {
  const held = effectiveCapabilities();
  const names = {
    CAP_BPF: capability.bpf,
    CAP_NET_ADMIN: capability.netAdmin,
    CAP_PERFMON: capability.perfmon,
    CAP_SYS_ADMIN: capability.sysAdmin,
    CAP_SYS_PTRACE: capability.sysPtrace,
  };
  const listed = (has: boolean): string =>
    Object.entries(names)
      .filter(([, bit]) => hasCapability(held, bit) === has)
      .map(([name]) => name)
      .join(", ");
  const [has, lacks] = [listed(true), listed(false)];
  const subject = "capabilities";
  if (lacks === "") return { subject, outcome: "works", detail: has };
  return {
    subject,
    outcome: missingPrivilege() === undefined ? "works" : "refused",
    detail: `${has === "" ? "none that matter" : has}; not held: ${lacks}`,
    hint: "CAP_SYS_ADMIN is for other namespaces and run-time statistics, CAP_SYS_PTRACE for paths of executables",
  };
}

/** Loads our programs and puts each on its hook, one after the other; all of it is released again. */
function* hookEntries(libc: Libc, config: FlowsConfig): Iterable<DoctorEntry> {
  const started = performance.now();
  let loaded: ReturnType<typeof loadPrograms>;
  try {
    loaded = loadPrograms(libc);
  } catch (error) {
    const hint = error instanceof X0Error ? error.hint : undefined;
    yield {
      subject: "BPF programs",
      outcome: "refused",
      detail: messageOf(error),
      ...(hint === undefined ? {} : { hint }),
    };
    return;
  }
  try {
    const count = Object.values(loaded.programs).filter((program) => program !== NOT_LOADED).length;
    const detail = `${count} loaded and verified in ${Math.round(performance.now() - started)} ms`;
    yield { subject: "BPF programs", outcome: "works", detail };
    yield deviceHook(libc, loaded.programs.x0_egress, config);
    yield* socketHookEntries(libc, loaded.programs);
    yield tried("hook iter/task_file", "finds sockets older than the agent", () =>
      runIterator(libc, loaded.programs.x0_sockets, (fd) => {
        const buffer = Buffer.alloc(4096);
        while (readSync(fd, buffer) > 0);
      }),
    );
    for (const { program, name, feature } of tracepoints)
      yield tried(`hook ${name ?? tracepointNames[program] ?? program}`, `tells ${feature}`, () => {
        if (loaded.programs[program] === NOT_LOADED) throw kernelError("it came with Linux 6.3; loading", -2);
        const link = openRawTracepoint(libc, loaded.programs[program], name);
        if (link < 0) throw kernelError("attaching", link);
        libc.close(link);
      });
    yield statisticsEntry(libc, config);
  } finally {
    loaded.close();
  }
}

function loadPrograms(libc: Libc): Loaded<MapName, ProgramName> {
  return loadObject(libc, shippedPrograms(), { maxEntries: { ...flowTableSizes(1024), events: 65_536 } });
}

function deviceHook(libc: Libc, program: number, config: FlowsConfig): DoctorEntry {
  const LOOPBACK_INDEX = 1;
  const subject = "hook tcx";
  const link = createLink(libc, program, LOOPBACK_INDEX, attachType.tcxEgress);
  if (link >= 0) {
    libc.close(link);
    const unused = config.attach === "clsact" ? ", but flows.attach asks for clsact" : "";
    return { subject, outcome: "works", detail: `counts packets on devices${unused}` };
  }
  const isDemanded = config.attach === "tcx";
  return {
    subject,
    outcome: isDemanded ? "refused" : "off",
    detail: `${messageOf(kernelError("attaching to lo", link))}; it needs Linux 6.6`,
    hint: isDemanded ? 'set flows.attach = "auto"' : "clsact is used instead",
  };
}

function* socketHookEntries(
  libc: Libc,
  programs: Readonly<Record<ProgramName, number>>,
): Iterable<DoctorEntry> {
  const root = cgroupRoot();
  if (root === undefined) {
    const hint = "mount -t cgroup2 none /sys/fs/cgroup/unified";
    yield { subject: "hooks of cgroup v2", outcome: "off", detail: "no hierarchy is mounted", hint };
    return;
  }
  const folder = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    for (const [program, type] of socketHooks)
      yield tried(
        `hook cgroup/${hookNames[program] ?? program.slice(3)}`,
        `names the process, at ${root}`,
        () => {
          const link = createLink(libc, programs[program], folder, type);
          if (link < 0) throw kernelError("attaching", link);
          libc.close(link);
        },
      );
  } finally {
    closeSync(folder);
  }
}

function statisticsEntry(libc: Libc, config: FlowsConfig): DoctorEntry {
  const subject = "run time of programs";
  const descriptor = enableRunTimeStatistics(libc);
  if (descriptor < 0)
    return {
      subject,
      outcome: config.run_time_statistics ? "refused" : "off",
      detail: messageOf(kernelError("turning the kernel's statistics on", descriptor)),
      hint: "needs CAP_SYS_ADMIN",
    };
  libc.close(descriptor);
  if (config.run_time_statistics) return { subject, outcome: "works", detail: "measured" };
  return {
    subject,
    outcome: "off",
    detail: "possible, but costs each packet a little",
    hint: "set flows.run_time_statistics = true",
  };
}

function tried(subject: string, detail: string, attempt: () => void): DoctorEntry {
  try {
    attempt();
    return { subject, outcome: "works", detail };
  } catch (error) {
    const hint = error instanceof X0Error ? error.hint : undefined;
    return { subject, outcome: "refused", detail: messageOf(error), ...(hint === undefined ? {} : { hint }) };
  }
}

/** Programs of others on our hooks: one before ours that answers "pass" would hide packets from us. */
function* neighbourEntries(libc: Libc): Iterable<DoctorEntry> {
  const watch = watchInterfaces(libc);
  try {
    for (const device of watch.list())
      for (const [direction, type] of [
        ["ingress", attachType.tcxIngress],
        ["egress", attachType.tcxEgress],
      ] as const) {
        const names = (tcxPrograms(libc, device.index, type) ?? []).map((id) => nameOf(libc, id));
        const ours = names.findIndex((name) => name.startsWith("x0_"));
        const before = ours < 0 ? names : names.slice(0, ours);
        if (before.length === 0) continue;
        yield {
          subject: `${device.name} ${direction}`,
          outcome: ours < 0 ? "works" : "warning",
          detail: `programs of others ${ours < 0 ? "are attached" : "run before ours"}: ${before.join(", ")}`,
          ...(ours < 0 ? {} : { hint: "what they pass or drop is not counted; start x0 after them" }),
        };
      }
  } finally {
    watch.close();
  }
}

function nameOf(libc: Libc, id: number): string {
  const program = programById(libc, id);
  if (program < 0) return `program ${id}`;
  try {
    return programInfo(libc, program).name;
  } finally {
    libc.close(program);
  }
}
