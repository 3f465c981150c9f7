/**
 * What a kernel test may lack without failing: a privilege, or a feature of the kernel, each probed for real.
 * A missing program or any other error fails the test.
 */
import { existsSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { findCgroup2 } from "./cgroup.ts";
import { run } from "./process.ts";

/** What a test needs; `netns` also covers veth pairs. */
export type KernelFeature =
  | "bpf"
  | "bridge"
  | "btf"
  | "cgroup2"
  | "htb"
  | "macvlan"
  | "mount"
  | "netns"
  | "nftables"
  | "tbf"
  | "tcx"
  | "vlan";

/** The part of vitest's test context that skips. */
export interface Skippable {
  skip(note?: string): void;
}

/** Skips the test, naming what is missing. @throws if a probe fails for any other reason. */
export async function requireKernel(
  context: Skippable,
  ...features: readonly KernelFeature[]
): Promise<void> {
  const lack = await missingKernel(...features);
  if (lack === undefined) return;
  process.stderr.write(`skipped: ${lack}\n`);
  context.skip(lack);
}

/** The first thing that is missing, as a sentence; undefined if nothing is. For benches. */
export async function missingKernel(...features: readonly KernelFeature[]): Promise<string | undefined> {
  for (const feature of features) {
    const lack = await probes[feature]();
    if (lack !== undefined) return lack;
  }
  return undefined;
}

/** Whether a program is there to be run. For conformance, where a peer may be missing. */
export async function isInstalled(program: string): Promise<boolean> {
  try {
    await run(["sh", "-c", `command -v "$1"`, "sh", program]);
    return true;
  } catch {
    return false;
  }
}

type Probe = () => Promise<string | undefined>;

/** Bits of the capability sets, include/uapi/linux/capability.h. */
const capabilities = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21, CAP_PERFMON: 38, CAP_BPF: 39 };

function privilege(...names: readonly (keyof typeof capabilities)[]): string | undefined {
  const effective = BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]}`);
  const lack = names.filter((name) => ((effective >> BigInt(capabilities[name])) & 1n) === 0n);
  return lack.length === 0 ? undefined : `needs ${lack.join(", ")} (run as root)`;
}

const unknownToKernel =
  /unknown device type|qdisc kind is unknown|operation not supported|protocol not supported|unshare failed: (invalid argument|operation not permitted)/i;

/** Tries commands in a namespace of their own. */
function inNamespace(feature: string, ...commands: readonly string[]): Probe {
  return async () => {
    const lack = privilege("CAP_NET_ADMIN", "CAP_SYS_ADMIN");
    if (lack !== undefined) return lack;
    try {
      await run(["unshare", "--net", "sh", "-ec", commands.join("\n")], { environment: { LC_ALL: "C" } });
      return undefined;
    } catch (error) {
      if (unknownToKernel.test(String(error))) return `this kernel (${release()}) has no ${feature}`;
      throw error;
    }
  };
}

const veth = "ip link add p0 type veth peer name p1";

const probes: Readonly<Record<KernelFeature, Probe>> = {
  netns: inNamespace("network namespaces or veth", veth),
  bridge: inNamespace("bridge", "ip link add p0 type bridge"),
  macvlan: inNamespace("macvlan", veth, "ip link add link p0 name p2 type macvlan mode bridge"),
  vlan: inNamespace("VLAN (VLAN_8021Q)", veth, "ip link add link p0 name p2 type vlan id 2"),
  tbf: inNamespace("tbf qdisc", veth, "tc qdisc add dev p0 root tbf rate 1mbit burst 10kb limit 10kb"),
  htb: inNamespace("htb qdisc", veth, "tc qdisc add dev p0 root handle 1: htb default 1"),
  nftables: inNamespace(
    "nftables with NAT",
    "nft 'table inet p { chain c { type nat hook postrouting priority 100; masquerade; }; }'",
  ),
  mount: async () => privilege("CAP_SYS_ADMIN"),
  cgroup2: async () => {
    if (findCgroup2() === undefined) return "no writable cgroup v2 hierarchy is mounted";
    return process.geteuid?.() === 0 ? undefined : "needs root to make a cgroup";
  },
  bpf: async () => privilege("CAP_BPF", "CAP_NET_ADMIN", "CAP_PERFMON"),
  btf: async () => (existsSync("/sys/kernel/btf/vmlinux") ? undefined : "this kernel has no BTF"),
  tcx: async () => {
    const [major = 0, minor = 0] = release().split(".").map(Number);
    if (major * 1000 + minor < 6006) return `tcx needs Linux 6.6, this is ${release()}`;
    return privilege("CAP_BPF", "CAP_NET_ADMIN");
  },
};
