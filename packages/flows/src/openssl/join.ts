/** Which flow an exchange inside TLS went over: told only where there can be no other. */
import type { OpensslExchange } from "./exchanges.ts";

/** A TCP flow with a process of this host at one end or at both. */
export interface JoinableFlow {
  readonly id: number;
  /** Of the side that opened it, and of the other; null where they are not known. */
  readonly pid: number | null;
  readonly peerPid: number | null;
  /** Of their sockets, decimal. */
  readonly cookie: string | null;
  readonly peerCookie: string | null;
  /** CLOCK_MONOTONIC. */
  readonly firstNs: number;
  /** Of an ended flow; infinite for an active one, since its latest packet may not have been read yet. */
  readonly lastNs: number;
  /** It may be TLS: it said so, or said nothing that was understood. */
  readonly mayBeTls: boolean;
}

/**
 * By its socket's cookie, else by process and time. A cookie alone is not enough: the process must be the same too.
 *
 * @param flows of the exchange's process; others are passed over. @returns null where none or several fit.
 */
export function flowOfExchange(exchange: OpensslExchange, flows: Iterable<JoinableFlow>): number | null {
  const { pid, isServer, beganNs, cookie } = exchange;
  let found: number | null = null;
  let fitting = 0;
  for (const flow of flows) {
    const ownPid = isServer ? flow.peerPid : flow.pid;
    const ownCookie = isServer ? flow.peerCookie : flow.cookie;
    if (ownPid !== pid || !flow.mayBeTls || flow.firstNs > beganNs || flow.lastNs < beganNs) continue;
    if (cookie !== null && ownCookie === cookie) return flow.id;
    if (cookie !== null && ownCookie !== null) continue;
    fitting++;
    found = flow.id;
  }
  return fitting === 1 ? found : null;
}
