/** The shipped device programs with a policy in force, in a namespace of their own: what they do with a frame. */
import { createNamespace } from "../../../../../test/lab/index.ts";
import { eventType, flowEventLayout, flowLayout } from "../../generated/layout.ts";
import { testRun } from "../../kernel/bpf.ts";
import { fitOutFlowTable, flowTableSizes } from "../../kernel/flow-table.ts";
import { type Libc, openLibc } from "../../kernel/libc.ts";
import { type Loaded, loadObject } from "../../kernel/load.ts";

import { openNamespace } from "../../kernel/namespaces.ts";
import { type MapName, type ProgramName, shippedPrograms } from "../../kernel/programs.ts";
import { openRing } from "../../kernel/ring.ts";
import { compile } from "../compile/compile.ts";
import { encode } from "../compile/encode.ts";
import { openGenerations } from "../enforce/generations.ts";
import { type KernelVerdict, readVerdict } from "../enforce/verdict.ts";
import type { Direction } from "../model.ts";
import type { Tables } from "../tables.ts";
import { clusterwide, readPolicies, smallWorld } from "./small-world.ts";

const RING_BYTES = 1 << 18;
const MOST_FLOWS = 16_384;
const DROP = 2;
const CONTEXT_BYTES = 192;
const IFINDEX = 40;

/** What the kernel side told of a flow. */
export interface Told extends KernelVerdict {
  readonly event: "new" | "closed" | "replaced" | "judged";
  readonly packets: number;
}

export interface JudgingKernel extends Disposable {
  readonly libc: Libc;
  readonly maps: Loaded<MapName, ProgramName>["maps"];
  swap(tables: Tables | undefined): void;
  /** Puts one clusterwide policy in force, in the small world. */
  apply(spec: string): void;
  /** Gives a frame to the programs. */
  judge(
    direction: Direction,
    frame: Uint8Array,
  ): { readonly isDropped: boolean; readonly told: readonly Told[] };
}

export interface JudgingHost extends AsyncDisposable {
  /** Loads the programs anew. The work is synchronous: this thread is in the namespace meanwhile. */
  run(work: (kernel: JudgingKernel) => void, maxFlows?: number): void;
}

/** Needs `requireKernel(…, "bpf", "btf", "netns")`. */
export async function judgingHost(): Promise<JudgingHost> {
  await using stack = new AsyncDisposableStack();
  const place = stack.use(await createNamespace());
  const address = "02:00:00:00:00:02";
  await place.exec(`ip link add eth0 address ${address} type veth peer name eth1`.split(" "));
  const { index } = await place.link("eth0");
  const inside = openNamespace(openLibc(), place.path);
  stack.defer(inside.close);
  const owned = stack.move();
  return {
    run: (work, maxFlows = MOST_FLOWS) =>
      inside.run(() => {
        using kernel = openJudging(index, maxFlows);
        work(kernel);
      }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function openJudging(device: number, maxFlows: number): JudgingKernel {
  const libc = openLibc();
  const { maps, programs, close } = loadObject(libc, shippedPrograms(), {
    maxEntries: { ...flowTableSizes(maxFlows), events: RING_BYTES },
    programs: ["x0_ingress", "x0_egress"],
  });
  fitOutFlowTable(libc, maps.table, maxFlows);
  const ring = openRing(libc, maps.events, RING_BYTES);
  const generations = openGenerations(libc, maps, () => 0);
  const context = new Uint8Array(CONTEXT_BYTES);
  new DataView(context.buffer).setUint32(IFINDEX, device, true);
  const events = new Map<number | undefined, Told["event"]>([
    [eventType.flowNew, "new"],
    [eventType.flowClosed, "closed"],
    [eventType.flowReplaced, "replaced"],
    [eventType.flowJudged, "judged"],
  ]);
  const swap = (tables: Tables | undefined): void =>
    void generations.swap(tables === undefined ? undefined : encode(tables));
  return {
    libc,
    maps,
    swap,
    apply: (spec) => swap(compile(readPolicies(clusterwide(spec)).set, smallWorld, undefined)),
    judge(direction, frame) {
      const program = direction === "ingress" ? programs.x0_ingress : programs.x0_egress;
      const { verdict } = testRun(libc, program, frame, { context });
      const told: Told[] = [];
      ring.drain((memory, at) => {
        const event = events.get(memory[at]);
        const word = (offset: number): number => memory[at + (flowEventLayout.flow + offset) / 4] as number;
        if (event === undefined) return;
        const packets = word(flowLayout.packets) + word(flowLayout.packets + 8);
        told.push({ event, packets, ...readVerdict(word(flowLayout.verdict)) });
      });
      return { isDropped: verdict === DROP, told };
    },
    [Symbol.dispose]() {
      generations.close();
      ring.close();
      close();
    },
  };
}
