import { formatCount, printable } from "@x0tta6bl4/core";
import type { FlowList } from "../flow.ts";

/** What an answer covers, in a line, and a line for each gap in it. */
export function coverText({ from, to, lostPackets, lostEvents = 0, gaps = [] }: FlowList["covers"]): string {
  const lost = [
    `${formatCount(lostPackets)} packets lost`,
    ...(lostEvents > 0 ? [`${formatCount(lostEvents)} events lost`] : []),
    ...(gaps.length > 0 ? [`${gaps.length} ${gaps.length === 1 ? "gap" : "gaps"}`] : []),
  ];
  const lines = gaps.map((gap) => `  from ${gap.from} to ${gap.to}: ${printable(gap.reason)}\n`);
  return `from ${from} to ${to}, ${lost.join(", ")}\n${lines.join("")}`;
}
