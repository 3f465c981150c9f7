/** Holds a tcx program that drops packets at random, for as long as this process lives. */
import { attachType, createLink, type Libc, loadProgram, openLibc, programType } from "@x0tta6bl4/flows";
import type { ScriptContract } from "../process.ts";
import { serveScript } from "./serve.ts";

export interface LossOptions {
  readonly interfaceIndex: number;
  readonly direction: "ingress" | "egress";
  /** From 0 to 1, in steps of 2^-32. */
  readonly probability: number;
  /** Where among the hook's programs; default last. */
  readonly order?: "first" | "last";
  /** What it answers for the others: go on with the next program, or accept at once. Default next. */
  readonly verdict?: "next" | "pass";
}

export interface LossCounts {
  readonly dropped: number;
  readonly passed: number;
}

export interface LossContract extends ScriptContract {
  readonly argument: LossOptions;
  readonly ready: undefined;
  readonly order: "count";
  readonly event: LossCounts;
  readonly result: LossCounts;
}

/** include/uapi/linux/bpf.h: `enum tcx_action_base`, BPF_F_BEFORE and BPF_F_AFTER. */
const verdicts = { next: -1, pass: 0, drop: 2 } as const;
const flags = { first: 1 << 3, last: 1 << 4 } as const;

serveScript<LossContract>(async (options, parent) => {
  const libc = openLibc();
  const counters = openCounters(libc);
  const program = loadProgram(libc, {
    type: programType.schedCls,
    instructions: lossProgram(counters.fd, options.probability, verdicts[options.verdict ?? "next"]),
    name: "lab_loss",
  });
  const type = options.direction === "ingress" ? attachType.tcxIngress : attachType.tcxEgress;
  const link = createLink(libc, program, options.interfaceIndex, type, flags[options.order ?? "last"]);
  must(link, `attaching to interface ${options.interfaceIndex}`);
  parent.on(() => parent.emit(counters.read()));
  parent.ready(undefined);
  await parent.finished;
  libc.close(link);
  return counters.read();
});

const counterOffset = { dropped: 0, passed: 8 } as const;

/** An array map of one value that holds both counters. */
function openCounters(libc: Libc): { readonly fd: number; read(): LossCounts } {
  const [BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_TYPE_ARRAY] = [0, 1, 2];
  const shape = new Uint32Array(18);
  shape.set([BPF_MAP_TYPE_ARRAY, 4, 16, 1]); // key and value size, entries
  const fd = must(libc.bpf(BPF_MAP_CREATE, new Uint8Array(shape.buffer)), "creating the counters");
  const key = libc.allocate(4);
  const value = libc.allocate(16);
  const lookup = new BigUint64Array([BigInt(fd), key.address, value.address, 0n]);
  const count = (offset: number): number => Number(value.view.getBigUint64(offset, true));
  return {
    fd,
    read: () => {
      must(libc.bpf(BPF_MAP_LOOKUP_ELEM, new Uint8Array(lookup.buffer)), "reading the counters");
      return { dropped: count(counterOffset.dropped), passed: count(counterOffset.passed) };
    },
  };
}

function must(result: number, operation: string): number {
  if (result < 0) throw new Error(`${operation}: errno ${-result}`);
  return result;
}

/** Two ways out, each with its counter. Opcodes: Documentation/bpf/standardization/instruction-set.rst. */
function lossProgram(map: number, probability: number, verdict: number): Uint8Array {
  const bpf_get_prandom_u32 = 7;
  const threshold = Math.round(probability * 2 ** 32);
  // Unsigned and of 32 bits. No u32 exceeds the greatest, but the verifier wants each instruction reachable.
  const keep =
    threshold >= 2 ** 32
      ? instruction(0x26, 0, 0, 6, -1) // if w0 > 0xffffffff goto +6
      : instruction(0x36, 0, 0, 6, threshold); // if w0 >= threshold goto +6
  const count = (offset: number): Uint8Array[] => [
    instruction(0x18, 1, 2, 0, map), // r1 = &counters[offset], BPF_PSEUDO_MAP_VALUE
    instruction(0, 0, 0, 0, offset),
    instruction(0xb7, 2, 0, 0, 1), // r2 = 1
    instruction(0xdb, 1, 2, 0, 0), // lock *(u64 *)r1 += r2
  ];
  const answer = (value: number): Uint8Array[] => [
    instruction(0xb7, 0, 0, 0, value),
    instruction(0x95, 0, 0, 0, 0),
  ];
  return Buffer.concat([
    instruction(0x85, 0, 0, 0, bpf_get_prandom_u32),
    keep,
    ...count(counterOffset.dropped),
    ...answer(verdicts.drop),
    ...count(counterOffset.passed),
    ...answer(verdict),
  ]);
}

function instruction(
  opcode: number,
  destination: number,
  source: number,
  offset: number,
  immediate: number,
): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(opcode, 0);
  bytes.writeUInt8((source << 4) | destination, 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(immediate | 0, 4);
  return bytes;
}
