/** A capture inside a throw-away namespace that holds policies against its packets, read in this thread. */
import { type Clock, systemClock } from "@x0tta6bl4/core";
import type { Namespace } from "../../../../test/lab/index.ts";
import type { CaptureOptions } from "../capture/contract.ts";
import type { Flow } from "../flow.ts";
import { flowLayout } from "../generated/layout.ts";
import { ELEMENT_WORDS, openKernelFlows } from "../kernel/flow-table.ts";
import { openLibc } from "../kernel/libc.ts";
import { openNamespace } from "../kernel/namespaces.ts";
import { compile } from "../policy/compile/compile.ts";
import { encode } from "../policy/compile/encode.ts";
import type { RuleFigures, WorkloadPlace } from "../policy/enforce/contract.ts";
import { clusterwide, readPolicies, smallWorld } from "../policy/testing/small-world.ts";
import { flowOfRecord } from "../recording/record.ts";
import { captureDefaults, observe } from "./observed.ts";

export interface Judged extends Disposable {
  /** Puts one clusterwide policy in force, in the small world. */
  apply(spec: string, workloads?: readonly WorkloadPlace[]): void;
  /** All flows, after a read. */
  flows(): Flow[];
  /** As they were recorded so far: their beginnings, news of them, their ends. */
  records(): Flow[];
  /** What verdicts of rules met, as of the last read. */
  figures(): readonly Omit<RuleFigures, "id" | "bytes">[];
  /** How many are remembered that pass, as of the last sweep. */
  connections(): number;
  /** Packets in the kernel's flows, without a read of the capture. */
  packets(): number;
}

/** Needs `requireKernel(…, "netns", "bpf", "btf")`. */
export function judge(
  place: Namespace,
  options: Partial<CaptureOptions> = {},
  clock: Clock = systemClock,
): Judged {
  const libc = openLibc();
  const inside = openNamespace(libc, place.path);
  const observed = inside.run(() => observe(options, clock));
  const { enforcement, maps } = observed.capture;
  const elements = openKernelFlows(libc, maps.flows, options.maxFlows ?? captureDefaults.maxFlows);
  const PACKETS = flowLayout.packets / 4;
  return {
    apply(spec, workloads = []) {
      const { set } = readPolicies(clusterwide(spec));
      const tables = encode(compile(set, smallWorld, undefined));
      const exempt = { id: 0, connections: [] };
      inside.run(() =>
        enforcement.swap({ tables, pin: false, judgeLoopback: false, workloads, rules: [], exempt }),
      );
    },
    flows: () => inside.run(() => observed.flows(place.inode)),
    records() {
      inside.run(() => observed.events());
      return observed.batches.flatMap((batch) => {
        const doubles = new Float64Array(batch.words.buffer);
        return Array.from({ length: batch.count }, (_, index) => flowOfRecord(batch, doubles, index));
      });
    },
    figures: () =>
      enforcement.sums
        .rules()
        .filter(({ id }) => id !== 0)
        .map(({ decision, flows, packets }) => ({ decision, flows, packets })),
    connections: () => enforcement.figures().connections,
    packets() {
      let sum = 0;
      for (let at = 0; at < elements.reach() * ELEMENT_WORDS; at += ELEMENT_WORDS)
        sum += (elements.words[at + PACKETS] as number) + (elements.words[at + PACKETS + 2] as number);
      return sum;
    },
    [Symbol.dispose]() {
      elements.close();
      observed[Symbol.dispose]();
      inside.close();
    },
  };
}
