/** What flow observation needs from the kernel and the process before anything is tried. */
import { existsSync, readFileSync } from "node:fs";
import type { Feature } from "@x0tta6bl4/core";

/** Bit numbers of include/uapi/linux/capability.h. */
export const capability = { netAdmin: 12, sysPtrace: 19, sysAdmin: 21, perfmon: 38, bpf: 39 } as const;

/** The effective capabilities of this process. */
export function effectiveCapabilities(): bigint {
  const line = readFileSync("/proc/thread-self/status", "utf8")
    .split("\n")
    .find((text) => text.startsWith("CapEff:"));
  return BigInt(`0x${line?.slice(7).trim() ?? "0"}`);
}

export function hasCapability(capabilities: bigint, bit: number): boolean {
  return ((capabilities >> BigInt(bit)) & 1n) === 1n;
}

/** Why no packet can be counted here, undefined if nothing is known to be missing. */
export function missingPrivilege(): Feature | undefined {
  const name = "packets";
  if (process.platform !== "linux")
    return {
      name,
      state: "off",
      reason: `flows are observed on Linux only, this is ${process.platform}`,
      hint: "x0 flows observe --replay FILE reads a capture anywhere",
    };
  if (!existsSync("/sys/kernel/btf/vmlinux"))
    return {
      name,
      state: "off",
      reason: "the kernel has no BTF (/sys/kernel/btf/vmlinux)",
      hint: "use a kernel built with CONFIG_DEBUG_INFO_BTF=y",
    };
  const held = effectiveCapabilities();
  const needed = {
    CAP_BPF: capability.bpf,
    CAP_NET_ADMIN: capability.netAdmin,
    CAP_PERFMON: capability.perfmon,
  };
  // CAP_SYS_ADMIN includes CAP_BPF and CAP_PERFMON.
  const lacks = Object.entries(needed).filter(
    ([, bit]) =>
      !hasCapability(held, bit) && !(bit !== capability.netAdmin && hasCapability(held, capability.sysAdmin)),
  );
  if (lacks.length === 0) return undefined;
  return {
    name,
    state: "off",
    reason: `the process lacks ${lacks.map(([each]) => each).join(", ")}`,
    hint: "run as root, or with exactly CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
  };
}
