/** Sums of what insight tells, for metrics: totals since the start, histograms by bucket. */

import { type Application, applications } from "../application.ts";
import type { ScanEvent } from "../event.ts";
import { rcodeName } from "../insight/dns-codes.ts";
import type { DnsTransaction } from "../insight/dns-tracker.ts";
import type { InsightTotals, SumOf } from "./contract.ts";

/** Upper bounds in seconds. */
export interface SumBounds {
  readonly dns: readonly number[];
  readonly connect: readonly number[];
  readonly request: readonly number[];
}

export interface InsightSums {
  dns(transaction: DnsTransaction): void;
  /** A payload or exchange that is not what its port says. */
  unread(application: Application): void;
  connected(seconds: number): void;
  retransmitted(segments: number): void;
  request(application: Application, isError: boolean, seconds: number): void;
  scan(kind: ScanEvent["scan"]): void;
  totals(): Omit<InsightTotals, "drops" | "skipped" | "forgottenEvents">;
}

export function createInsightSums(bounds: SumBounds): InsightSums {
  const rcodes = new Map<string, number>();
  const unread = new Map<Application, number>();
  /** By application: requests that went well, and that did not. */
  const outcomes = applications.map(() => ({ ok: 0, error: 0, latency: createSum(bounds.request) }));
  const scans = new Map<ScanEvent["scan"], number>();
  const dnsLatency = createSum(bounds.dns);
  const connects = createSum(bounds.connect);
  let retransmits = 0;
  const add = <Key>(map: Map<Key, number>, key: Key): void => void map.set(key, (map.get(key) ?? 0) + 1);
  return {
    dns({ rcode, latencyNs }) {
      add(rcodes, rcode === null ? "none" : rcodeName(rcode));
      if (latencyNs !== null) dnsLatency.observe(latencyNs / 1e9);
    },
    unread: (application) => add(unread, application),
    connected: (seconds) => connects.observe(seconds),
    retransmitted(segments) {
      retransmits += segments;
    },
    request(application, isError, seconds) {
      const outcome = outcomes[applications.indexOf(application)] as (typeof outcomes)[number];
      if (isError) outcome.error++;
      else outcome.ok++;
      outcome.latency.observe(seconds);
    },
    scan: (kind) => add(scans, kind),
    totals: () => ({
      dns: [...rcodes],
      dnsLatency: dnsLatency.value(),
      connects: connects.value(),
      retransmits,
      requests: outcomes.flatMap(({ ok, error }, index) =>
        (["ok", "error"] as const)
          .map((outcome) => [applications[index] as Application, outcome, { ok, error }[outcome]] as const)
          .filter(([, , count]) => count > 0),
      ),
      requestLatency: outcomes.flatMap(({ ok, error, latency }, index) =>
        ok + error === 0 ? [] : [[applications[index] as Application, latency.value()] as const],
      ),
      unread: [...unread],
      scans: [...scans],
    }),
  };
}

interface Sum {
  observe(seconds: number): void;
  value(): SumOf;
}

function createSum(bounds: readonly number[]): Sum {
  const counts = new Float64Array(bounds.length + 1);
  let sum = 0;
  return {
    observe(seconds) {
      let bucket = 0;
      while (bucket < bounds.length && seconds > (bounds[bucket] as number)) bucket++;
      counts[bucket] = (counts[bucket] as number) + 1;
      sum += seconds;
    },
    value: () => ({ counts: [...counts], sum }),
  };
}
