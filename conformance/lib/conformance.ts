/** What every file of `conformance/` exports as `run`: lets one real peer work against us and compares. */
export type Conformance = (options: ConformanceOptions) => Promise<ConformanceResult>;

export interface ConformanceOptions {
  /** Skips what would take long to prepare. */
  readonly quick: boolean;
}

export interface ConformanceResult {
  readonly outcome: "passed" | "failed" | "skipped";
  /** What differed, or what this machine lacks. */
  readonly reason?: string;
}
