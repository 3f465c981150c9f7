/** What verdicts met, by rule and decision: sums of the flows that carry them. */
import type { RuleFigures } from "./contract.ts";
import { readVerdict, verdictKind } from "./verdict.ts";

export interface VerdictSums {
  /** @param word a flow's verdict. @param fresh whether the flow was not counted under it before. */
  add(word: number, packets: number, bytes: number, fresh: boolean): void;
  rules(): readonly RuleFigures[];
}

/** Ids are those of applied rules, so there are as many sums as rules were ever in force and met. */
export function createVerdictSums(): VerdictSums {
  const sums = new Map<number, { flows: number; packets: number; bytes: number }>();
  return {
    add(word, packets, bytes, fresh) {
      const kind = verdictKind(word);
      let sum = sums.get(kind);
      if (sum === undefined) {
        sum = { flows: 0, packets: 0, bytes: 0 };
        sums.set(kind, sum);
      }
      if (fresh) sum.flows++;
      sum.packets += packets;
      sum.bytes += bytes;
    },
    rules: () =>
      [...sums].flatMap(([kind, sum]) => {
        const { decision, id } = readVerdict(kind);
        return decision === undefined ? [] : [{ id, decision, ...sum }];
      }),
  };
}
