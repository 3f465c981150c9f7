import { networkInterfaces } from "node:os";
import type { Clock } from "@x0tta6bl4/core";

/** Addresses change rarely, and asking for them takes a tenth of a millisecond. */
const REFRESH_MS = 10_000;

/** Whether an address is one of this machine's, in the agent's own network namespace. */
export function createLocalAddresses(clock: Clock): (ip: string) => boolean {
  let known: ReadonlySet<string> = new Set();
  let readAtMs = Number.NEGATIVE_INFINITY;
  return (ip) => {
    const nowMs = clock.nowMs();
    if (Math.abs(nowMs - readAtMs) >= REFRESH_MS) {
      known = new Set(
        Object.values(networkInterfaces()).flatMap((all) => (all ?? []).map(({ address }) => address)),
      );
      readAtMs = nowMs;
    }
    return known.has(ip) || ip.startsWith("127.") || ip === "::1";
  };
}
