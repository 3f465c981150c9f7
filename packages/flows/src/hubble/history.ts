/** What the Hubble API asks of the history on disk, for flows older than those in memory. */
import type { FlowEvent } from "../event.ts";
import type { RecordReader } from "../recording/record.ts";

export interface HistoryRange {
  /** Unix milliseconds: records that were made from here on and before `toMs`. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Pages from the latest to the earliest; the same pages as in the other order. */
  readonly newestFirst: boolean;
}

/** Some of the history: what was recorded in an interval. */
export interface HistoryPage {
  readonly fromMs: number;
  readonly toMs: number;
  readonly records: RecordReader;
  readonly events: readonly FlowEvent[];
}

export interface HubbleHistory {
  /** A reader that stops early ends the iteration; pages are its own until it asks for the next one. */
  flows(range: HistoryRange): AsyncIterable<HistoryPage>;
}
