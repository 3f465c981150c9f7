/** The flows of some processes, as a join with what these processes did needs them. */
import { type Application, applications } from "../application.ts";
import { flowFlag } from "../generated/layout.ts";
import type { JoinableFlow } from "../openssl/join.ts";
import { protocolNumbers } from "../protocols.ts";
import { type FlowTable, openedBySecond, protocolOf, u64, word } from "./table.ts";

/** Active TCP flows with one of these processes at an end. Complexity: linear in all active flows. */
export function* joinableFlows(table: FlowTable, pids: ReadonlySet<number>): Iterable<JoinableFlow> {
  for (const slot of table.activeSlots()) {
    if (protocolOf(table.kindOf(slot)) !== protocolNumbers.tcp) continue;
    const { words, flow } = table.raw(slot);
    // The pid is the upper half of a process's key.
    const pidOf = (side: number): number => words[flow + word.process + 2 * side + 1] as number;
    if (!pids.has(pidOf(0)) && !pids.has(pidOf(1))) continue;
    const flags = words[flow + word.flags] as number;
    const opener = openedBySecond(flags) ? 1 : 0;
    const pid = (side: number): number | null => pidOf(side) || null;
    const cookie = (side: number): string | null => {
      const at = flow + word.cookie + 2 * side;
      const value = (BigInt(words[at + 1] as number) << 32n) | BigInt(words[at] as number);
      return value === 0n ? null : value.toString();
    };
    const application: Application | undefined = applications[((flags >>> flowFlag.application) & 7) - 1];
    yield {
      id: u64(words, flow + word.id),
      pid: pid(opener),
      peerPid: pid(1 - opener),
      cookie: cookie(opener),
      peerCookie: cookie(1 - opener),
      firstNs: u64(words, flow + word.firstNs),
      lastNs: Number.POSITIVE_INFINITY,
      mayBeTls: application === undefined || application === "tls",
    };
  }
}
