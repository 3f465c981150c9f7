/** Programs of a few instructions that stand before the shipped ones where those need to be told something. */
import { mapAccess } from "../kernel/bpf.ts";
import { instruction, opcode } from "../kernel/instruction.ts";
import { kernelError, type Libc } from "../kernel/libc.ts";
import { createMap } from "../kernel/map.ts";
import { loadProgram, programType } from "../kernel/program.ts";

export type Direction = "ingress" | "egress";

/** Descriptors of the programs for both directions. */
export interface DirectedPrograms {
  readonly ingress: number;
  readonly egress: number;
}

/** `enum device` of bpf/count.bpf.c. */
const deviceFlags = { ethernet: 1, both: 0, count: 2, judge: 4, judgeAbove: 4 | 8 } as const;

/** What hangs on a device. */
export interface DevicePrograms extends DirectedPrograms {
  /**
   * Those of all devices but the agent's own Ethernet ones, reached through a stub. Asked for once, when the first
   * such device comes: the verifier takes a fifth of a second for them, and most hosts have none.
   */
  others(): DirectedPrograms & { close(): void };
}

/**
 * What is done on a device: of two that see the same packet one counts it, and one holds it against the policy;
 * `judgeAbove` where the other one is below, `judge` where there is none.
 */
export type DeviceRole = "both" | "count" | "judge" | "judgeAbove";

export interface StubMaker {
  /** A descriptor, owned by the maker. @throws X0_FLOWS_KERNEL_CALL */
  program(direction: Direction, namespace: number, headerBytes: number, role?: DeviceRole): number;
  /** What they jump by, -1 before there is one: without a descriptor or a name it is emptied. */
  readonly jumps: number;
  /** All that were made. */
  of(direction: Direction): number[];
  close(): void;
}

/**
 * The program for a namespace and link type. The agent's own Ethernet devices get the shipped one; for all others
 * a stub writes the namespace's number and what the device is into the packet's control block and jumps on.
 */
export function stubMaker(libc: Libc, programs: DevicePrograms): StubMaker {
  const made = new Map<string, number>();
  let jumps = -1;
  return {
    get jumps() {
      return jumps;
    },
    program(direction, namespace, headerBytes, role = "both") {
      if (namespace === 0 && headerBytes === 14 && role === "both") return programs[direction];
      if (jumps < 0) {
        const others = programs.others();
        try {
          jumps = jumpTable(libc, [others.ingress, others.egress]);
        } finally {
          // The table keeps them.
          others.close();
        }
      }
      const key = `${direction} ${namespace} ${headerBytes} ${role}`;
      let program = made.get(key);
      if (program === undefined) {
        const instructions = stub(
          jumps,
          direction === "ingress" ? 0 : 1,
          namespace,
          (headerBytes === 0 ? 0 : deviceFlags.ethernet) | deviceFlags[role],
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
      made.clear();
      // The kernel empties the table when its last descriptor goes.
      if (jumps >= 0) libc.close(jumps);
      jumps = -1;
    },
  };
}

function jumpTable(libc: Libc, targets: readonly number[]): number {
  const MAP_TYPE_PROG_ARRAY = 3;
  const map = createMap(libc, {
    name: "x0_jumps",
    type: MAP_TYPE_PROG_ARRAY,
    keyBytes: 4,
    valueBytes: 4,
    maxEntries: targets.length,
  });
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

/** `cb[0] = namespace; cb[1] = device; tail_call(jumps, slot); return TC_ACT_UNSPEC` */
function stub(jumps: number, slot: number, namespace: number, device: number): Uint8Array {
  const CB = 48;
  const TAIL_CALL = 12;
  const BY_DESCRIPTOR = 1;
  return new Uint8Array(
    Buffer.concat([
      instruction(opcode.move, 2, 0, 0, namespace),
      instruction(opcode.storeMemory32, 1, 2, CB, 0),
      instruction(opcode.move, 2, 0, 0, device),
      instruction(opcode.storeMemory32, 1, 2, CB + 4, 0),
      // A 64-bit load of a map by its descriptor takes two slots.
      instruction(opcode.load64, 2, BY_DESCRIPTOR, 0, jumps),
      instruction(0, 0, 0, 0, 0),
      instruction(opcode.move, 3, 0, 0, slot),
      instruction(opcode.call, 0, 0, 0, TAIL_CALL),
      instruction(opcode.move, 0, 0, 0, -1),
      instruction(opcode.exit, 0, 0, 0, 0),
    ]),
  );
}
