/**
 * What verdicts met: each packet is summed once, under the verdict of its flow. The kernel side tells what a flow has
 * met before its verdict changes. What a flow began with is held until the next read, since the verdict of a workload,
 * and that of a device above the one that counts, come when the flow has been told already; but what is denied comes
 * to nobody who could say otherwise.
 */
import { isDenied, verdictKind } from "../policy/enforce/verdict.ts";
import type { VerdictSums } from "../policy/enforce/verdict-sums.ts";
import type { Delta } from "./table.ts";

export interface Judgements {
  /** A flow that was not known. */
  began(slot: number, verdict: number, delta: Delta): void;
  /** What was added to one that is. */
  met(slot: number, verdict: number, delta: Delta): void;
  /** Takes the flows with something held: a full read later their verdicts are known. */
  due(): readonly number[];
  /** Sums what is held of a flow, if anything is. */
  settle(slot: number, verdict: number): void;
}

/** @param capacity slots. */
export function createJudgements(capacity: number, sums: VerdictSums): Judgements {
  /** Packets and bytes of each slot. */
  const held = new Float64Array(2 * capacity);
  /** The latest two verdicts that a flow was counted under: two sides that are denied differently take turns. */
  const latest = new Uint32Array(2 * capacity);
  let waiting: number[] = [];

  /** @returns whether the flow was not counted under it. */
  const isNew = (slot: number, verdict: number): boolean => {
    const kind = verdictKind(verdict);
    if (latest[2 * slot] === kind || latest[2 * slot + 1] === kind) return false;
    latest[2 * slot + 1] = latest[2 * slot] as number;
    latest[2 * slot] = kind;
    return true;
  };
  const met = (slot: number, verdict: number, { 0: p0 = 0, 1: p1 = 0, 2: b0 = 0, 3: b1 = 0 }: Delta): void =>
    sums.add(verdict, p0 + p1, b0 + b1, isNew(slot, verdict));
  return {
    began(slot, verdict, delta) {
      latest.fill(0, 2 * slot, 2 * slot + 2);
      if (isDenied(verdict)) return met(slot, verdict, delta);
      held[2 * slot] = (delta[0] as number) + (delta[1] as number);
      held[2 * slot + 1] = (delta[2] as number) + (delta[3] as number);
      waiting.push(slot);
    },
    met,
    due() {
      const all = waiting;
      waiting = [];
      return all;
    },
    settle(slot, verdict) {
      const packets = held[2 * slot] as number;
      if (packets === 0) return;
      const bytes = held[2 * slot + 1] as number;
      held.fill(0, 2 * slot, 2 * slot + 2);
      if (verdict !== 0) sums.add(verdict, packets, bytes, isNew(slot, verdict));
    },
  };
}
