/** Flows whose socket nobody is known to own: where some have come, all sockets are looked through again. */
import { flowFlag } from "../generated/layout.ts";
import { protocolNumbers } from "../protocols.ts";
import { protocolOf } from "./table.ts";

/** The look costs milliseconds on a host of many sockets. */
const FIND_OWNERS_MS = 5000;

export interface Orphans {
  /** A new flow, by its flags and its key's kind. */
  note(flags: number, kind: number): void;
  /** Looks for owners where that is due. */
  settle(nowMs: number): void;
}

export function createOrphans(startedMs: number, findOwners: () => void): Orphans {
  let count = 0;
  let lookedMs = startedMs;
  return {
    note(flags, kind) {
      if (isOrphan(flags, kind)) count++;
    },
    settle(nowMs) {
      if (count === 0 || nowMs - lookedMs <= FIND_OWNERS_MS) return;
      count = 0;
      lookedMs = nowMs;
      findOwners();
    },
  };
}

/** Whether a socket of this host sent the first packet and nobody is known to own it. */
function isOrphan(flags: number, kind: number): boolean {
  const protocol = protocolOf(kind);
  const hasSocket = protocol === protocolNumbers.tcp || protocol === protocolNumbers.udp;
  return hasSocket && (flags & flowFlag.egressFirst) !== 0 && (flags & (3 * flowFlag.owned)) === 0;
}
