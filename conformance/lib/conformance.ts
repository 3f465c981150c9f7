/** What every file of `conformance/` exports as `run`: lets one real peer work against us and compares. */
export type Conformance = () => Promise<ConformanceResult>;

export interface ConformanceResult {
  readonly outcome: "passed" | "failed" | "skipped";
  /** What differed, or what this machine lacks. */
  readonly reason?: string;
}
