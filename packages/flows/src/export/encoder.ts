/** What turns flows and events into the records of one format. */
import type { FlowEvent } from "../event.ts";
import type { Coverage, RecordReader } from "../recording/record.ts";

/** Puts what it makes into its delivery, a full chunk at a time. */
export interface Encoder {
  /** Once a record. */
  flow(reader: RecordReader, index: number): void;
  event(event: FlowEvent): void;
  /** Hands on what is gathered: the end of a batch that covers so much. */
  flush(coverage: Coverage): void;
  /** Hands on what was held back as well: the end of the export. */
  finish(): void;
}
