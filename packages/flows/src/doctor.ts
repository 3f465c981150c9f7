/** What this machine offers to flow observation: the programs are really loaded and attached, then released. */
import { existsSync, readFileSync } from "node:fs";
import { type DoctorEntry, messageOf, X0Error } from "@x0tta6bl4/core";
import { openKernelSide } from "./capture/kernel-side.ts";
import { captureOptions, type FlowsConfig } from "./config.ts";
import { attachType, programById, programInfo, tcxPrograms } from "./kernel/bpf.ts";
import { watchInterfaces } from "./kernel/interfaces.ts";
import { type Libc, openLibc } from "./kernel/libc.ts";
import { capability, effectiveCapabilities, hasCapability, missingPrivilege } from "./privilege.ts";

/** BPF_PROG_TYPE_SYSCALL, which loads all others: Linux 5.14. */
const OLDEST = [5, 14] as const;

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
  yield* neighbourEntries(libc);
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

function* hookEntries(libc: Libc, config: FlowsConfig): Iterable<DoctorEntry> {
  const subject = "BPF programs";
  try {
    const started = performance.now();
    const kernel = openKernelSide(libc, { ...captureOptions(config), maxFlows: 1024, ringBytes: 65_536 });
    try {
      yield {
        subject,
        outcome: "works",
        detail: `loaded and attached in ${Math.round(performance.now() - started)} ms`,
      };
      for (const feature of kernel.features())
        yield {
          subject: feature.name,
          outcome: feature.state === "on" ? "works" : feature.state === "degraded" ? "warning" : "refused",
          detail: feature.reason ?? feature.detail ?? "attached and released",
          ...(feature.hint === undefined ? {} : { hint: feature.hint }),
        };
    } finally {
      kernel.close();
    }
  } catch (error) {
    const hint = error instanceof X0Error ? error.hint : undefined;
    yield { subject, outcome: "refused", detail: messageOf(error), ...(hint === undefined ? {} : { hint }) };
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
