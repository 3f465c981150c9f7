import { consistentProbability } from "./consistent-probability.ts";
import { parentBased } from "./parent-based.ts";
import { rateLimiting } from "./rate-limiting.ts";
import { alwaysOff, alwaysOn, type Sampler } from "./sampler.ts";
import { traceIdRatio } from "./trace-id-ratio.ts";

/** A sampler in words, or one of the program's own. */
export type SamplerChoice =
  | "always_on"
  | "always_off"
  | { readonly traceIdRatio: number }
  /** Traces a second. */
  | { readonly rateLimiting: number }
  | { readonly consistentProbability: number }
  | { readonly parentBased: ParentBasedChoice }
  | Sampler;

export interface ParentBasedChoice {
  readonly root: SamplerChoice;
  readonly remoteParentSampled?: SamplerChoice;
  readonly remoteParentNotSampled?: SamplerChoice;
  readonly localParentSampled?: SamplerChoice;
  readonly localParentNotSampled?: SamplerChoice;
}

/** @throws RangeError for a probability that is none */
export function createSampler(choice: SamplerChoice): Sampler {
  if (choice === "always_on") return alwaysOn();
  if (choice === "always_off") return alwaysOff();
  if ("traceIdRatio" in choice) return traceIdRatio(choice.traceIdRatio);
  if ("rateLimiting" in choice) return rateLimiting(choice.rateLimiting);
  if ("consistentProbability" in choice) return consistentProbability(choice.consistentProbability);
  if (!("parentBased" in choice)) return choice;
  const { root, ...delegates } = choice.parentBased;
  const made = Object.entries(delegates).map(([name, one]) => [name, createSampler(one)]);
  return parentBased({ root: createSampler(root), ...Object.fromEntries(made) });
}
