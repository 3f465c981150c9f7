/** Which time the records cover, what was lost in it, and what the clock did meanwhile. */
import { readFileSync } from "node:fs";
import type { Clock } from "@x0tta6bl4/core";
import type { Coverage } from "../recording/record.ts";

/** Since the start. */
export type Losses = Pick<Coverage, "lostPackets" | "lostBytes" | "lostEvents" | "uncounted">;

export interface CoverageSource {
  /** The wall clock has moved against the monotonic one. */
  stepped(byMs: number): void;
  /** The time since the last call, with what was lost in it. */
  take(losses: Losses): Coverage;
}

/** CLOCK_MONOTONIC stops while the machine sleeps, /proc/uptime does not. */
const ASLEEP_MS = 2000;

export function createCoverage(clock: Clock): CoverageSource {
  let fromMs = clock.nowMs();
  let before: Losses = { lostPackets: 0, lostBytes: 0, lostEvents: 0, uncounted: 0 };
  let steppedMs = 0;
  let asleepMs = sleepMs(clock);
  return {
    stepped(byMs) {
      steppedMs += byMs;
    },
    take(losses) {
      const toMs = clock.nowMs();
      const sleptMs = sleepMs(clock) - asleepMs;
      asleepMs += sleptMs;
      const gap = gapOf(steppedMs, sleptMs);
      const coverage = {
        // After a step back the interval would end before it began.
        fromMs: gap === undefined ? fromMs : Math.min(toMs, Math.max(fromMs, toMs - 1000)),
        toMs,
        lostPackets: losses.lostPackets - before.lostPackets,
        lostBytes: losses.lostBytes - before.lostBytes,
        lostEvents: losses.lostEvents - before.lostEvents,
        uncounted: losses.uncounted - before.uncounted,
        ...(gap === undefined ? {} : { gap }),
      };
      steppedMs = 0;
      before = losses;
      fromMs = toMs;
      return coverage;
    },
  };
}

function gapOf(steppedMs: number, sleptMs: number): string | undefined {
  if (sleptMs > ASLEEP_MS) return `suspended for ${Math.round(sleptMs / 1000)} s`;
  if (steppedMs === 0) return undefined;
  return `the clock stepped by ${steppedMs > 0 ? "+" : "-"}${Math.round(Math.abs(steppedMs) / 1000)} s`;
}

/** How long this machine has slept since it was booted. */
function sleepMs(clock: Clock): number {
  const uptimeMs = Number(readFileSync("/proc/uptime", "utf8").split(" ")[0]) * 1000;
  return uptimeMs - Number(clock.monotonicNs()) / 1e6;
}
