import { dropped, type Sampler, sampled } from "./sampler.ts";

/**
 * A share of all traces, decided by their identifiers as the stock SDK does it, so that both agree on each trace.
 * @param ratio from 0 to 1; what is outside becomes the nearest of them, no number 0
 */
export function traceIdRatio(ratio: number): Sampler {
  const share = Number.isNaN(ratio) ? 0 : Math.min(1, Math.max(0, ratio));
  const bound = share === 1 ? 2 ** 32 : Math.floor(share * (2 ** 32 - 1));
  return {
    description: `TraceIdRatioBased{${share}}`,
    shouldSample: ({ trace0, trace1, trace2, trace3 }) =>
      (trace0 ^ trace1 ^ trace2 ^ trace3) >>> 0 < bound ? sampled : dropped,
  };
}
