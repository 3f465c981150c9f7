/** Policy in the capturing thread: what is in force, the connections it lets pass, and what its verdicts met. */
import { readFileSync } from "node:fs";
import { flowKeyLayout, policyCountsLayout } from "../../generated/layout.ts";
import { mapAccess, readBatches } from "../../kernel/bpf.ts";
import { possibleCpus } from "../../kernel/cpus.ts";
import { kernelError, type Libc } from "../../kernel/libc.ts";
import { openNames } from "../names/admitted.ts";
import type { AdmittedAddress, AdmittedAddresses } from "../names/contract.ts";
import { type Membership, openMembership } from "../workloads/membership.ts";
import { carryAdmitted, carryConnections } from "./carry.ts";
import { type Connections, openConnections, writeTupleKey } from "./connections.ts";
import type { EnforcementFigures, SwapRequest } from "./contract.ts";
import { type GenerationMaps, type Generations, openGenerations } from "./generations.ts";
import { olderConnections } from "./older-connections.ts";
import type { PinnedMap, Pins } from "./pins.ts";
import { readVerdict } from "./verdict.ts";
import { createVerdictSums, type VerdictSums } from "./verdict-sums.ts";

const MOST_EXEMPT = 256;
/** As many as connections are remembered by default. */
const MOST_EVICTED = 262_144;
/** Of all generations since the start; ten times what one is made for. */
const MOST_RULES = 100_000;
/** A read of the flow table comes in that time, also of a crowded one. */
const SWEEP_GRACE_MS = 30_000;
const SWEEP_MS = 10_000;

export type EnforcementMaps = GenerationMaps &
  Readonly<Record<PinnedMap | "policy_counts" | "name_counts", number>>;

export interface KernelEnforcement {
  readonly sums: VerdictSums;
  /** The rule of a verdict as records name it; undefined for none. */
  rule(verdict: number): string | undefined;
  /** Whether a policy was ever in force. */
  readonly isJudging: boolean;
  /** @throws X0_FLOWS_KERNEL_CALL; what was in force stays then */
  swap(request: SwapRequest): number;
  confirm(): boolean;
  revert(): boolean;
  figures(): EnforcementFigures;
  admit(addresses: readonly AdmittedAddress[]): void;
  admitted(since: number): AdmittedAddresses | undefined;
  /** Now and then: forgets connections that are over. */
  sweep(isActive: (low: number, high: number) => boolean): void;
  /** The flow of a TCP connection that goes on had to make room. @param last when it was heard of, in ticks */
  evicted(low: number, high: number, last: number): void;
  close(): void;
}

export interface EnforcementOptions {
  readonly maps: EnforcementMaps;
  /** The program that admits addresses. */
  readonly admit: number;
  readonly nowMs: () => number;
  /** Now, in the unit of a flow's `last`, and milliseconds in that unit. */
  readonly nowTicks: () => number;
  readonly ticksOf: (milliseconds: number) => number;
  /** A silent TCP connection ends after. */
  readonly tcpIdleMs: number;
  /** Puts programs wherever something is to be judged; called before the first policy is in force. */
  readonly judge: () => void;
  readonly pins: Pins;
  /** Puts programs before the sockets of all cgroups; called before the first workload has a policy. */
  readonly judgeSockets: () => void;
  /** Of all programs that judge, by the names that pins know. */
  readonly links: () => ReadonlyMap<string, number>;
}

export function openEnforcement(libc: Libc, options: EnforcementOptions): KernelEnforcement {
  const { maps, nowMs, nowTicks, ticksOf, pins } = options;
  const ages = { grace: ticksOf(SWEEP_GRACE_MS), idle: ticksOf(options.tcpIdleMs) };
  const sums = createVerdictSums();
  const names = openNames(libc, { maps, program: options.admit, nowMs, bootMs });
  const rules = new Map<number, string>();
  let opened:
    | {
        readonly generations: Generations;
        readonly connections: Connections;
        readonly membership: Membership;
      }
    | undefined;
  let isJudgingSockets = false;
  let sweptMs = nowMs();
  /** By the flow's id: when it was last heard of. */
  let evicted = new Map<number, number>();
  let isJudging = false;
  /** With the first question: most hosts have no policy. */
  const open = (): NonNullable<typeof opened> => {
    opened ??= {
      generations: openGenerations(libc, maps, bootMs),
      connections: openConnections(libc, maps.connections),
      membership: openMembership(libc, maps),
    };
    return opened;
  };
  const begin = (): void => {
    if (isJudging) return;
    isJudging = true;
    options.judge();
    // What is open now keeps its direction: as programs before ours remember it, or as the sockets show.
    for (const { connections, admitted } of pins.left()) {
      if (connections !== undefined)
        carryConnections(libc, { from: connections, to: maps.connections }, nowTicks());
      if (admitted !== undefined) carryAdmitted(libc, { from: admitted, to: maps.admitted });
    }
    open().connections.remember(olderConnections(), nowTicks());
  };
  const beginSockets = (): void => {
    if (!isJudgingSockets) options.judgeSockets();
    isJudgingSockets = true;
  };
  // A policy of an agent before this one is in force already.
  if (pins.isOn) {
    open().connections.adopt(nowTicks());
    begin();
    beginSockets();
  }
  return {
    sums,
    get isJudging() {
      return isJudging;
    },
    rule: (verdict) => rules.get(readVerdict(verdict).id),
    swap({ tables, confirmWithinMs, judgeLoopback, exempt, pin, rules: named, names: settings, workloads }) {
      // Flows carry verdicts of the generations before for a while.
      if (rules.size > MOST_RULES) rules.clear();
      for (const [id, rule] of named) rules.set(id, rule);
      const { generations, membership } = open();
      if (tables !== undefined) begin();
      if (workloads.length > 0) beginSockets();
      // Peers are sought at loopback alone.
      const known = judgeLoopback ? workloads : workloads.filter(({ isJudged }) => isJudged);
      if (isJudgingSockets) membership.write(known);
      writeExempt(libc, maps.exempt, exempt);
      if (settings !== undefined) names.configure(settings);
      // What may come into force again was perhaps pinned.
      const isPinned = (pin || (confirmWithinMs !== undefined && pins.isOn)) && tables !== undefined;
      // What cannot be pinned is not put in force either.
      if (isPinned) pins.turnOn(maps, options.links());
      const generation = generations.swap(tables, confirmWithinMs, judgeLoopback);
      if (isPinned) pins.removeLeft();
      else pins.turnOff();
      return generation;
    },
    confirm: () => open().generations.confirm(),
    revert: () => open().generations.revert(),
    figures() {
      const { generations, connections } = open();
      const [verdicts, unremembered, related] = readCounts(libc, maps.policy_counts);
      return {
        inForce: generations.inForce(),
        verdicts: verdicts as number,
        unremembered: (unremembered as number) + connections.unremembered,
        related: related as number,
        connections: connections.count,
        names: names.figures(),
        rules: sums.rules(),
        isPinned: pins.isOn || pins.left().length > 0,
      };
    },
    admit: names.admit,
    admitted: names.read,
    sweep(isActive) {
      if (!isJudging || (nowMs() - sweptMs < SWEEP_MS && nowMs() >= sweptMs)) return;
      sweptMs = nowMs();
      const { note, end } = names.beginSweep();
      const kept = new Map<number, number>();
      const lastOf = (low: number, high: number): number | undefined => {
        const id = high * 2 ** 32 + low;
        const last = evicted.get(id);
        if (last !== undefined) kept.set(id, last);
        return last;
      };
      open().connections.sweep(isActive, nowTicks(), ages, lastOf, note);
      evicted = kept;
      end();
    },
    evicted(low, high, last) {
      if (isJudging && evicted.size < MOST_EVICTED) evicted.set(high * 2 ** 32 + low, last);
    },
    close() {
      opened?.generations.close();
      opened?.connections.close();
      opened?.membership.close();
    },
  };
}

/** CLOCK_BOOTTIME, to the hundredth of a second. */
function bootMs(): number {
  return 1000 * Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
}

/** Puts these in the place of those before. */
function writeExempt(libc: Libc, map: number, { id, connections }: SwapRequest["exempt"]): void {
  const access = mapAccess(libc);
  const key = libc.allocate(flowKeyLayout.size);
  const value = libc.allocate(4);
  const keys = libc.allocate(MOST_EXEMPT * flowKeyLayout.size);
  const values = libc.allocate(MOST_EXEMPT * 4);
  const cursor = libc.allocate(8);
  try {
    const words = new Uint32Array(key.bytes.buffer, 0, flowKeyLayout.size / 4);
    const wanted = new Set<string>();
    value.view.setUint32(0, id, true);
    for (const connection of connections.slice(0, MOST_EXEMPT)) {
      if (writeTupleKey(connection, words, 0) === undefined) continue;
      const result = access.update(map, key, value);
      if (result < 0) throw kernelError("exempting a session from policy", result);
      wanted.add(Buffer.from(key.bytes).toString("latin1"));
    }
    const gone: Uint8Array[] = [];
    readBatches(libc, map, { keys, values, cursor, capacity: MOST_EXEMPT }, (count) => {
      for (let index = 0; index < count; index++) {
        const at = index * flowKeyLayout.size;
        const old = keys.bytes.slice(at, at + flowKeyLayout.size);
        if (!wanted.has(Buffer.from(old).toString("latin1"))) gone.push(old);
      }
    });
    for (const old of gone) {
      key.bytes.set(old);
      access.delete(map, key);
    }
  } finally {
    for (const memory of [key, value, keys, values, cursor]) memory.free();
  }
}

/** Sums over all CPUs, in the order of the layout. */
function readCounts(libc: Libc, map: number): number[] {
  const cpus = possibleCpus();
  const key = libc.allocate(4);
  const value = libc.allocate(policyCountsLayout.size * cpus);
  try {
    const result = mapAccess(libc).lookup(map, key, value);
    if (result < 0) throw kernelError("reading the counts of verdicts", result);
    return [policyCountsLayout.verdicts, policyCountsLayout.unremembered, policyCountsLayout.related].map(
      (at) => {
        let sum = 0;
        for (let cpu = 0; cpu < cpus; cpu++)
          sum += Number(value.view.getBigUint64(cpu * policyCountsLayout.size + at, true));
        return sum;
      },
    );
  } finally {
    key.free();
    value.free();
  }
}
