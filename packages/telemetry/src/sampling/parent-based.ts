import { TraceFlags } from "@opentelemetry/api";
import { alwaysOff, alwaysOn, type Sampler } from "./sampler.ts";

export interface ParentBasedOptions {
  /** Asked where there is no parent. */
  readonly root: Sampler;
  readonly remoteParentSampled?: Sampler;
  readonly remoteParentNotSampled?: Sampler;
  readonly localParentSampled?: Sampler;
  readonly localParentNotSampled?: Sampler;
}

/** Decides as the parent was decided, unless a delegate says otherwise. */
export function parentBased(options: ParentBasedOptions): Sampler {
  const { root } = options;
  const remoteSampled = options.remoteParentSampled ?? alwaysOn();
  const remoteNotSampled = options.remoteParentNotSampled ?? alwaysOff();
  const localSampled = options.localParentSampled ?? alwaysOn();
  const localNotSampled = options.localParentNotSampled ?? alwaysOff();
  const delegates = [
    `root=${root.description}`,
    `remoteParentSampled=${remoteSampled.description}`,
    `remoteParentNotSampled=${remoteNotSampled.description}`,
    `localParentSampled=${localSampled.description}`,
    `localParentNotSampled=${localNotSampled.description}`,
  ];
  return {
    description: `ParentBased{${delegates.join(", ")}}`,
    shouldSample(start) {
      const { parent } = start;
      if (parent === undefined) return root.shouldSample(start);
      const isSampled = (parent.traceFlags & TraceFlags.SAMPLED) !== 0;
      if (parent.isRemote) return (isSampled ? remoteSampled : remoteNotSampled).shouldSample(start);
      return (isSampled ? localSampled : localNotSampled).shouldSample(start);
    },
  };
}
