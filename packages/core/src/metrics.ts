/** The shape of a metric's definition. The catalogue in `telemetry` lists them all, one file a part. */
export interface MetricDefinition<Label extends string = string> {
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly Label[];
  /** Upper bounds, histograms only. */
  readonly buckets?: readonly number[];
}

export type Labels<Label extends string> = Readonly<Record<Label, string>>;

export interface Counter<Label extends string> {
  add(labels: Labels<Label>, value: number): void;
  /** For totals that the kernel keeps: replaces the value, which must not fall. */
  setTotal(labels: Labels<Label>, total: number): void;
}

export interface Gauge<Label extends string> {
  set(labels: Labels<Label>, value: number): void;
}

export interface Histogram<Label extends string> {
  observe(labels: Labels<Label>, value: number): void;
  /**
   * For observations counted elsewhere, such as in a worker: replaces everything.
   *
   * @param counts of each bucket alone, one more than there are bounds: the last is for what exceeds all.
   */
  setTotals(labels: Labels<Label>, counts: readonly number[], sum: number): void;
}

/** Where a part puts its figures; `telemetry` implements it. */
export interface Metrics {
  counter<Label extends string>(definition: MetricDefinition<Label>): Counter<Label>;
  gauge<Label extends string>(definition: MetricDefinition<Label>): Gauge<Label>;
  histogram<Label extends string>(definition: MetricDefinition<Label>): Histogram<Label>;
}
