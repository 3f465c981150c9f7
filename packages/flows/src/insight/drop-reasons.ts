/**
 * Why the kernel dropped a packet, by the name that the running kernel has for the number: the numbers differ from
 * release to release (include/net/dropreason-core.h), and some subsystems bring reasons of their own.
 */
import { dirname, join } from "node:path";
import { type BtfReader, type Enumeration, openBtf, readEnumerations } from "./btf.ts";

export interface DropReasons {
  /** Without SKB_DROP_REASON_; `REASON_n`, or `SUBSYSTEM_n` with the subsystem's name, where it has none. */
  name(reason: number): string;
  /** Of a name as `name` gives it; undefined where this kernel has no such reason. */
  number(name: string): number | undefined;
  /** Reasons that have a name; 0 where the kernel has no BTF or no reasons (before 5.17). */
  readonly known: number;
}

const CORE = "skb_drop_reason";
const SUBSYSTEMS = "skb_drop_reason_subsys";
/** The module that defines it, unless it is built in. */
const ofModules: Readonly<Record<string, string>> = {
  mac80211_drop_reason: "mac80211",
  ovs_drop_reason: "openvswitch",
};

/** @param path of the kernel's BTF; that of its modules lies beside it. */
export function kernelDropReasons(path = "/sys/kernel/btf/vmlinux"): DropReasons {
  const kernel = openIfThere(path);
  if (kernel === undefined) return reasonsOf([], undefined);
  try {
    const wanted = (name: string): boolean => name === CORE || name === SUBSYSTEMS || name in ofModules;
    const found = readEnumerations(kernel, wanted);
    const enumerations = [...found].filter(([name]) => name !== SUBSYSTEMS).map(([, values]) => values);
    for (const [name, module] of Object.entries(ofModules)) {
      const values = found.has(name) ? undefined : ofModule(join(dirname(path), module), name, kernel);
      if (values !== undefined) enumerations.push(values);
    }
    return reasonsOf(enumerations, found.get(SUBSYSTEMS));
  } finally {
    kernel.close();
  }
}

function ofModule(path: string, name: string, kernel: BtfReader): Enumeration | undefined {
  const module = openIfThere(path);
  if (module === undefined) return undefined;
  try {
    return readEnumerations(module, (candidate) => candidate === name, kernel).get(name);
  } finally {
    module.close();
  }
}

function reasonsOf(
  enumerations: readonly Enumeration[],
  subsystemNames: Enumeration | undefined,
): DropReasons {
  const names = new Map<number, string>();
  for (const values of enumerations)
    for (const [name, value] of values) {
      const isMark = name.startsWith("__") || /_(MAX|NUM|MASK)$/.test(name);
      if (!isMark && !names.has(value)) names.set(value, name.replace(/^SKB_(DROP_REASON_)?/, ""));
    }
  const subsystems = new Map<number, string>();
  for (const [name, value] of subsystemNames ?? [])
    subsystems.set(value, name.replace(/^SKB_DROP_REASON_SUBSYS_/, ""));
  return {
    name(reason) {
      const name = names.get(reason);
      if (name !== undefined) return name;
      const subsystem = reason >>> 16;
      if (subsystem === 0) return `REASON_${reason}`;
      return `${subsystems.get(subsystem) ?? `SUBSYSTEM_${subsystem}`}_${reason & 0xffff}`;
    },
    number: (wanted) => [...names].find(([, name]) => name === wanted)?.[0],
    known: names.size,
  };
}

function openIfThere(path: string): BtfReader | undefined {
  try {
    return openBtf(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES" || code === "EPERM") return undefined;
    throw error;
  }
}
