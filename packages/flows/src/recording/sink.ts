/** Who takes what the capturing thread records: history, the Hubble API, exports. All live in the recording thread. */
import type { Feature, MetricDefinition } from "@x0tta6bl4/core";
import type { FlowEvent } from "../event.ts";
import type { RecordReader } from "./record.ts";

/** The total of a counter, or a gauge's value, for the main thread's registry. */
export interface Sample {
  readonly metric: MetricDefinition;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

export interface Sink {
  /**
   * Called about once a second, also when nothing happened: then the batch is empty but covers its interval. In a flood
   * parts of it come before, which cover nothing by themselves.
   * The words are the sink's until the call returns. Never throws for a full disk or a peer that is gone: that is
   * counted and said by `features`.
   */
  take(records: RecordReader, events: readonly FlowEvent[]): void;
  features(): readonly Feature[];
  /** Totals since the start. */
  samples(): readonly Sample[];
  /** Writes what is pending, as far as the deadline lets it. Idempotent. */
  close(deadlineMs: number): Promise<void>;
}
