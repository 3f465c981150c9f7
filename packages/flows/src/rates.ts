/** The last ten minutes of the whole host's rates, one point a second, for charts. */
import type { Totals } from "./capture/contract.ts";

const POINTS = 600;

export interface RatePoint {
  readonly time: string;
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
  readonly activeFlows: number;
  readonly lostPackets: number;
  readonly lostEvents: number;
}

export interface Rates {
  take(totals: Totals): void;
  points(): readonly RatePoint[];
  /** Calls back with each new point. @returns what ends that. */
  follow(listener: (point: RatePoint) => void): () => void;
}

export function createRates(): Rates {
  const points: RatePoint[] = [];
  const listeners = new Set<(point: RatePoint) => void>();
  let before: { timeMs: number; packets: number; bytes: number } | undefined;
  return {
    take(totals) {
      let packets = 0;
      let bytes = 0;
      for (const one of totals.traffic) {
        packets += one.packets;
        bytes += one.bytes;
      }
      const now = { timeMs: totals.timeMs, packets, bytes };
      const seconds = before === undefined ? 0 : (now.timeMs - before.timeMs) / 1000;
      if (before !== undefined && seconds > 0) {
        const point: RatePoint = {
          time: new Date(totals.timeMs).toISOString(),
          bytesPerSecond: Math.round((bytes - before.bytes) / seconds),
          packetsPerSecond: Math.round((packets - before.packets) / seconds),
          activeFlows: totals.active,
          lostPackets: totals.lost.packets,
          lostEvents: totals.lost.events,
        };
        points.push(point);
        if (points.length > POINTS) points.shift();
        for (const listener of listeners) listener(point);
      }
      before = now;
    },
    points: () => points,
    follow(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
