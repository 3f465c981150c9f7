/** What verdicts met, by rule and decision: sums of the flows that carry them. */
import type { RuleFigures } from "./contract.ts";
import { readVerdict } from "./verdict.ts";

/** Decision and id, without the side and who decided. */
const KIND = 0xcfff_ffff;

export interface VerdictSums {
  /**
   * @param word the flow's verdict.
   * @param delta what was added to the flow: packets of both sides, bytes of both sides.
   */
  add(word: number, delta: Float64Array, fresh: boolean): void;
  rules(): readonly RuleFigures[];
}

/** Ids are those of applied rules, so there are as many sums as rules were ever in force and met. */
export function createVerdictSums(): VerdictSums {
  const sums = new Map<number, { flows: number; packets: number; bytes: number }>();
  return {
    add(word, delta, fresh) {
      const kind = (word & KIND) >>> 0;
      let sum = sums.get(kind);
      if (sum === undefined) {
        sum = { flows: 0, packets: 0, bytes: 0 };
        sums.set(kind, sum);
      }
      if (fresh) sum.flows++;
      sum.packets += (delta[0] as number) + (delta[1] as number);
      sum.bytes += (delta[2] as number) + (delta[3] as number);
    },
    rules: () =>
      [...sums].flatMap(([kind, sum]) => {
        const { decision, id } = readVerdict(kind);
        return decision === undefined ? [] : [{ id, decision, ...sum }];
      }),
  };
}
