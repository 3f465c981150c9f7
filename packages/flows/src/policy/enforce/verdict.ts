/** A verdict as the kernel side keeps it in a flow: VERDICT_* of bpf/types.h. */
import { decision } from "../../generated/layout.ts";
import type { Decision } from "../model.ts";

const decisions: readonly (Decision | undefined)[] = Object.entries(decision)
  .sort(([, a], [, b]) => a - b)
  .map(([name]) => (name === "none" ? undefined : (name as Decision)));

export interface KernelVerdict {
  /** Undefined where no policy was asked. */
  readonly decision: Decision | undefined;
  /** Of the rule or default deny that decided, 0 for none. */
  readonly id: number;
}

/** Index into `verdicts`. */
export function verdictIndex(word: number): number {
  const decision = word >>> 30;
  return decision < 2 ? 0 : decision - 1;
}

/** Decision and id, without the side and who decided. */
export function verdictKind(word: number): number {
  return (word & 0xcfff_ffff) >>> 0;
}

export function isDenied(word: number): boolean {
  return word >>> 30 === decision.deny;
}

export function readVerdict(word: number): KernelVerdict {
  return { decision: decisions[word >>> 30], id: word & 0x0fff_ffff };
}
