import { flowsFail } from "../../errors.ts";
import { ANY_PEER } from "../tables.ts";

/** Peers by number, each standing for the rules that select it. */
export interface Cells {
  /** @param rules ascending. @returns ANY_PEER for none. @throws X0_FLOWS_POLICY_TOO_LARGE */
  numberOf(rules: readonly number[]): number;
  readonly rulesOf: (peer: number) => readonly number[];
  /** From 1 on. */
  readonly numbers: () => Iterable<number>;
}

/** @param maxMeetings pairs of a rule and a peer that it selects. */
export function createCells(maxMeetings: number): Cells {
  const byRules = new Map<string, number>();
  const cells: (readonly number[])[] = [[]];
  let meetings = 0;
  return {
    numberOf(rules) {
      if (rules.length === 0) return ANY_PEER;
      const key = rules.join();
      let number = byRules.get(key);
      if (number === undefined) {
        meetings += rules.length;
        if (meetings > maxMeetings) {
          throw flowsFail(
            "X0_FLOWS_POLICY_TOO_LARGE",
            `rules and the peers they select meet in more than ${maxMeetings} pairs`,
            { hint: "let fewer prefixes overlap, or name them in one rule" },
          );
        }
        number = cells.push(rules) - 1;
        byRules.set(key, number);
      }
      return number;
    },
    rulesOf: (peer) => cells[peer] as readonly number[],
    numbers: () => cells.keys().drop(1),
  };
}
