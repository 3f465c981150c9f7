/** Time is injected where it decides anything, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Nanoseconds of CLOCK_MONOTONIC, the clock of `bpf_ktime_get_ns`. */
  monotonicNs(): bigint;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicNs: () => process.hrtime.bigint(),
};
