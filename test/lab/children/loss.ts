/** Holds a tcx program that drops packets at random, for as long as this process lives. */
import {
  attachType,
  attributes,
  command,
  createLink,
  loadProgram,
  mapAccess,
  programType,
} from "../../../packages/flows/src/kernel/bpf.ts";
import { kernelError, type Libc, openLibc } from "../../../packages/flows/src/kernel/libc.ts";
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

/** include/uapi/linux/bpf.h: `enum tcx_action_base`, BPF_F_BEFORE, BPF_F_AFTER, BPF_MAP_TYPE_ARRAY. */
const verdicts = { next: -1, pass: 0, drop: 2 } as const;
const flags = { first: 1 << 3, last: 1 << 4 } as const;
const arrayMap = 2;
const counterBytes = 16;
const counterOffset = { dropped: 0, passed: 8 } as const;

serveScript<LossContract>(async (options, parent) => {
  const libc = openLibc();
  const map = createCounters(libc);
  const program = loadProgram(libc, {
    type: programType.schedCls,
    instructions: lossProgram(map, options.probability, verdicts[options.verdict ?? "next"]),
    name: "lab_loss",
  });
  const type = options.direction === "ingress" ? attachType.tcxIngress : attachType.tcxEgress;
  const link = createLink(libc, program, options.interfaceIndex, type, flags[options.order ?? "last"]);
  if (link < 0) throw kernelError(`attaching to interface ${options.interfaceIndex}`, link);
  const key = libc.allocate(4);
  const value = libc.allocate(counterBytes);
  const read = (): LossCounts => {
    const result = mapAccess(libc).lookup(map, key, value);
    if (result < 0) throw kernelError("reading the counters", result);
    const count = (offset: number): number => Number(value.view.getBigUint64(offset, true));
    return { dropped: count(counterOffset.dropped), passed: count(counterOffset.passed) };
  };
  parent.on(() => parent.emit(read()));
  parent.ready(undefined);
  await parent.finished;
  libc.close(link);
  return read();
});

function createCounters(libc: Libc): number {
  const { bytes, view } = attributes(72);
  for (const [index, field] of [arrayMap, 4, counterBytes, 1].entries())
    view.setUint32(index * 4, field, true);
  const fd = libc.bpf(command.mapCreate, bytes);
  if (fd < 0) throw kernelError("creating the counters", fd);
  return fd;
}

/** Two ways out, each with its counter. Opcodes: Documentation/bpf/standardization/instruction-set.rst. */
function lossProgram(map: number, probability: number, verdict: number): Uint8Array {
  const bpf_get_prandom_u32 = 7;
  // Unsigned and of 32 bits. No u32 exceeds the greatest, but the verifier wants each instruction reachable.
  const keep =
    probability >= 1
      ? instruction(0x26, 0, 0, 6, -1) // if w0 > 0xffffffff goto +6
      : instruction(0x36, 0, 0, 6, Math.round(probability * 2 ** 32)); // if w0 >= threshold goto +6
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
