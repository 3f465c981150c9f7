/** When a flow is over: closed, or silent for too long. */
import { flowFlag } from "../generated/layout.ts";
import { protocolNumbers } from "../protocols.ts";
import type { CaptureOptions } from "./contract.ts";
import type { Joins } from "./joins.ts";
import { protocolOf, type Raw, TICK_MS, u64, word } from "./table.ts";

/** Packets of a closed connection that may still come: the last ACK, a retransmitted FIN. */
const LINGER_MS = 5000;

export interface Endings {
  /** Whether it is silent so long that it may be over; a cheap test that spares most flows the other one. */
  mayBeOver(words: Uint32Array, flowAt: number, nowTicks: number): boolean;
  /** @param slot of the flow, which the words tell of. */
  isOver(
    slot: number,
    keyWords: Uint32Array,
    keyAt: number,
    words: Uint32Array,
    flowAt: number,
    nowTicks: number,
  ): boolean;
}

/** @param rawOf a flow's words, those of its other half added. */
export function createEndings(
  { idleMs, tcpIdleMs }: Pick<CaptureOptions, "idleMs" | "tcpIdleMs">,
  joins: Joins,
  rawOf: (slot: number) => Raw,
): Endings {
  // Idle times below the linger time hold too.
  const lingerTicks = Math.min(LINGER_MS, idleMs, tcpIdleMs) / TICK_MS;
  const idleTicks = (words: Uint32Array, flowAt: number, nowTicks: number): number =>
    (nowTicks - (words[flowAt + word.last] as number)) | 0;
  const hasEnded = (kind: number, words: Uint32Array, flowAt: number, nowTicks: number): boolean => {
    if ((words[flowAt + word.flags] as number) & flowFlag.closed) return true;
    const silentMs = idleTicks(words, flowAt, nowTicks) * TICK_MS;
    if (silentMs <= idleMs) return false;
    if (protocolOf(kind) !== protocolNumbers.tcp) return true;
    const isAnswered = [0, 2].every((side) => u64(words, flowAt + word.packets + side) > 0);
    return !isAnswered || silentMs > tcpIdleMs;
  };
  const mayBeOver = (words: Uint32Array, flowAt: number, nowTicks: number): boolean =>
    idleTicks(words, flowAt, nowTicks) > lingerTicks;
  return {
    mayBeOver,
    isOver(slot, keyWords, keyAt, words, flowAt, nowTicks) {
      const kind = keyWords[keyAt + word.kind] as number;
      if (slot < 0 || joins.partnerOf(slot) < 0) return hasEnded(kind, words, flowAt, nowTicks);
      // Both halves of a translated connection live and end together.
      const whole = rawOf(slot);
      return (
        mayBeOver(whole.words, whole.flow, nowTicks) && hasEnded(kind, whole.words, whole.flow, nowTicks)
      );
    },
  };
}
