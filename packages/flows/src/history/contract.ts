/** What the recording thread answers from the history; its channel offers these as calls of the same names. */
import type { FlowList, FlowQuery } from "../flow.ts";
import type { Summary, SummaryQuery } from "../summary/schema.ts";
import type { EventList, EventQuery } from "./event-schema.ts";

export interface HistoryCalls {
  /** Newest first; ids begin with the run. @throws X0_FLOWS_INVALID_FILTER */
  flows(query: FlowQuery): Promise<FlowList>;
  /** Newest first. @throws X0_FLOWS_INVALID_FILTER */
  events(query: EventQuery): Promise<EventList>;
  /** @throws X0_FLOWS_INVALID_FILTER */
  summary(query: SummaryQuery): Promise<Summary>;
}
