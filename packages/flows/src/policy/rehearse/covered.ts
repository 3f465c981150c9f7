import type { FlowList } from "../../flow.ts";

const HOUR_MS = 3_600_000;

/** How much of a time was recorded: what is covered, less its gaps. */
export function coveredHours({ from, to, gaps = [] }: FlowList["covers"]): number {
  let lost = 0;
  let end = Date.parse(from);
  const ends = gaps
    .map((gap) => [Date.parse(gap.from), Date.parse(gap.to)] as const)
    .sort(([a], [b]) => a - b);
  for (const [gapFrom, gapTo] of ends) {
    lost += Math.max(0, gapTo - Math.max(end, gapFrom));
    end = Math.max(end, gapTo);
  }
  return Math.max(0, Date.parse(to) - Date.parse(from) - lost) / HOUR_MS;
}
