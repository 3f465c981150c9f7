/**
 * Uprobes by perf_event_open(2), without tracefs. They stand in a file, for all processes that map it; the programs
 * look first whether the process was named. (A probe for each process would cost others nothing, but each takes the
 * kernel about 0.1 s to remove, also when the agent ends: measured on 6.18.)
 * Layout: include/uapi/linux/perf_event.h, `perf_event_attr`.
 */
import { readFileSync } from "node:fs";
import { attributes } from "../kernel/bpf.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import type { ProgramName } from "./programs.ts";

const ATTRIBUTE_BYTES = 112;
/** _IO('$', 0) and _IOW('$', 8, __u32). */
const ENABLE = 0x2400;
const SET_BPF = 0x4004_2408;

interface Probe {
  readonly symbol: string;
  readonly program: ProgramName;
  readonly onReturn: boolean;
}

/** BoringSSL lacks the functions with _ex, as OpenSSL before 1.1.1 does. */
export const probes: readonly Probe[] = [
  { symbol: "SSL_write", program: "x0_ssl_write", onReturn: false },
  { symbol: "SSL_write_ex", program: "x0_ssl_write", onReturn: false },
  { symbol: "SSL_read", program: "x0_ssl_read", onReturn: false },
  { symbol: "SSL_read", program: "x0_ssl_read_done", onReturn: true },
  { symbol: "SSL_read_ex", program: "x0_ssl_read_ex", onReturn: false },
  { symbol: "SSL_read_ex", program: "x0_ssl_read_done", onReturn: true },
  { symbol: "SSL_free", program: "x0_ssl_free", onReturn: false },
];

export const probedSymbols: readonly string[] = [...new Set(probes.map(({ symbol }) => symbol))];

/** How the kernel numbers uprobes. */
export interface Uprobe {
  readonly type: number;
  /** Of `config`: at the function's return. */
  readonly returnBit: number;
}

/** Undefined where the kernel has none (before 4.17, or built without). */
export function uprobeType(): Uprobe | undefined {
  const folder = "/sys/bus/event_source/devices/uprobe";
  try {
    const type = Number(readFileSync(`${folder}/type`, "utf8"));
    // "config:0"
    const returnBit = Number(readFileSync(`${folder}/format/retprobe`, "utf8").split(":")[1]);
    return { type, returnBit };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/**
 * Attaches every probe whose function the file has.
 *
 * @param path as we see it; @param offsets of functions in the file.
 * @returns descriptors that hold the probes; none is left behind where it throws.
 * @throws X0_FLOWS_KERNEL_CALL
 */
export function attachProbes(
  libc: Libc,
  uprobe: Uprobe,
  programs: Readonly<Record<ProgramName, number>>,
  path: string,
  offsets: ReadonlyMap<string, number>,
): number[] {
  const text = Buffer.from(path);
  const held: number[] = [];
  const memory = libc.allocate(text.length + 1);
  memory.bytes.set(text);
  try {
    for (const { symbol, program, onReturn } of probes) {
      const offset = offsets.get(symbol);
      if (offset === undefined) continue;
      const { bytes, view } = attributes(ATTRIBUTE_BYTES);
      view.setUint32(0, uprobe.type, true);
      view.setUint32(4, ATTRIBUTE_BYTES, true);
      view.setBigUint64(8, onReturn ? 1n << BigInt(uprobe.returnBit) : 0n, true);
      view.setBigUint64(56, memory.address, true);
      view.setBigUint64(64, BigInt(offset), true);
      const event = libc.openPerfEvent(bytes);
      if (event < 0) throw kernelError(`a probe on ${symbol} of ${path}`, event);
      held.push(event);
      for (const [request, argument] of [
        [SET_BPF, programs[program]],
        [ENABLE, 0],
      ] as const) {
        const result = libc.control(event, request, argument);
        if (result < 0) throw kernelError(`attaching to ${symbol} of ${path}`, result);
      }
    }
    return held;
  } catch (error) {
    for (const fd of held) libc.close(fd);
    throw error;
  } finally {
    memory.free();
  }
}
