import { dropped, type Sampler, sampled } from "./sampler.ts";

/**
 * At most so many a second on average, and a second's worth at once after silence (token bucket).
 * @param perSecond above 0, or 0 for none
 * @param monotonicMs never steps
 */
export function rateLimiting(
  perSecond: number,
  monotonicMs: () => number = () => performance.now(),
): Sampler {
  const room = Math.max(1, perSecond);
  let tokens = perSecond > 0 ? room : 0;
  let filledMs = monotonicMs();
  return {
    description: `RateLimiting{${perSecond}}`,
    shouldSample() {
      const now = monotonicMs();
      tokens = Math.min(room, tokens + ((now - filledMs) / 1000) * perSecond);
      filledMs = now;
      if (tokens < 1) return dropped;
      tokens--;
      return sampled;
    },
  };
}
