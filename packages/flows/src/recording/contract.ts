/** What the recording thread and the agent's main thread say to each other. */
import type { ChannelContract, Feature } from "@x0tta6bl4/core";
import type { FlowsConfig } from "../config.ts";
import type { Sample } from "./sink.ts";

export interface RecordingOptions {
  readonly config: FlowsConfig;
  /** Of flows' own files, absolute. */
  readonly folder: string;
  readonly version: string;
}

export interface RecordingContract extends ChannelContract {
  readonly calls: {
    /** Resolves when every sink is open. */
    open(options: RecordingOptions): readonly Feature[];
    /** Writes what is pending, for so many milliseconds at most. */
    close(deadlineMs: number): void;
  };
  readonly events: {
    readonly features: readonly Feature[];
    readonly samples: readonly Sample[];
  };
}
