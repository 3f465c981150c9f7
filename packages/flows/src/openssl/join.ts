/** Which flow an exchange inside TLS went over: told only where there can be no other. */
import type { OpensslExchange } from "./exchanges.ts";

export interface JoinableFlow {
  readonly id: number;
  /** Process that opened it, and that which accepted it, where it is on this host. */
  readonly pid: number | undefined;
  readonly peerPid: number | undefined;
  /** CLOCK_MONOTONIC. */
  readonly firstNs: number;
  /** Of an ended flow; infinite for an active one, since its latest packet may not have been read yet. */
  readonly lastNs: number;
  /** It may be TLS: it said so, or said nothing that was understood. */
  readonly mayBeTls: boolean;
}

/** @param flows TCP flows of the exchange's process. @returns null where none or several fit. */
export function flowOfExchange(exchange: OpensslExchange, flows: Iterable<JoinableFlow>): number | null {
  const { pid, isServer, beganNs } = exchange;
  let found: number | null = null;
  for (const flow of flows) {
    const owner = isServer ? flow.peerPid : flow.pid;
    const fits = owner === pid && flow.mayBeTls && flow.firstNs <= beganNs && flow.lastNs >= beganNs;
    if (!fits) continue;
    if (found !== null) return null;
    found = flow.id;
  }
  return found;
}
