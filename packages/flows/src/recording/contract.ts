/** What the recording thread and the agent's main thread say to each other. */
import type { ChannelContract, Feature } from "@x0tta6bl4/core";
import type { FlowsConfig } from "../config.ts";
import type { FlowList, FlowQuery } from "../flow.ts";
import type { EventList, EventQuery } from "../history/event-schema.ts";
import type { Observation } from "../hubble/metric-handlers.ts";
import type { RehearsalCalls } from "../policy/rehearse/contract.ts";
import type { Summary, SummaryQuery } from "../summary/schema.ts";
import type { Sample } from "./sink.ts";

export interface RecordingOptions {
  readonly config: FlowsConfig;
  /** Of flows' own files, absolute. */
  readonly folder: string;
  readonly version: string;
  /** Unix milliseconds: what makes the ids of this run's flows unique for good. */
  readonly startedMs: number;
}

export interface RecordingContract extends ChannelContract {
  readonly calls: RehearsalCalls & {
    /** Resolves when every sink is open. */
    open(options: RecordingOptions): readonly Feature[];
    /** What the history answers. @throws X0_FLOWS_NO_HISTORY */
    flows(query: FlowQuery): FlowList;
    events(query: EventQuery): EventList;
    summary(query: SummaryQuery): Summary;
    /** Writes what is pending, for so many milliseconds at most. */
    close(deadlineMs: number): void;
  };
  readonly events: {
    readonly features: readonly Feature[];
    readonly figures: {
      readonly samples: readonly Sample[];
      /** For histograms, since the last time. */
      readonly observations: readonly Observation[];
    };
  };
}
