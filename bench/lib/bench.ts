/** What every file of `bench/` exports as `run`: measures, asserts that the work was done, and returns its figures. */
export type Bench = (options: BenchOptions) => Promise<Metrics>;

/** `null` where something that the figure needs is missing, never a guess. Names end in their unit. */
export type Metrics = Readonly<Record<string, number | null>>;

export interface BenchOptions {
  /** Fewer repetitions and smaller inputs; for CI, not for figures to publish. */
  readonly quick: boolean;
  /** Every random choice of the bench follows from it. */
  readonly seed: number;
  /** Folder with other inputs than the bench's own. */
  readonly set: string | undefined;
  /** A line for people, before the table. */
  note(line: string): void;
}
