import { inPrefix } from "../filter.ts";
import { applying, evaluate, isToItself } from "./evaluate.ts";
import type { Attempt, PolicySet, Verdict, World } from "./model.ts";
import type { Management } from "./tables.ts";

/** The evaluator, and what stays reachable whatever it says. */
export function evaluateManaged(
  set: PolicySet,
  world: World,
  management: Management | undefined,
  attempt: Attempt,
): Verdict {
  const isManaged =
    management !== undefined &&
    attempt.direction === "ingress" &&
    !isToItself(attempt) &&
    applying(set.policies, world, attempt).length > 0 &&
    management.ports.some(({ protocol, port }) => protocol === attempt.protocol && port === attempt.port) &&
    isSource(management, attempt);
  return isManaged ? { decision: "allow", id: management.id } : evaluate(set, world, attempt);
}

/** Sources are elsewhere: a workload of this host is none. */
function isSource({ sources }: Management, { peer }: Attempt): boolean {
  if (sources.length === 0) return true;
  if (peer.workload !== undefined) return false;
  return sources.some(({ bytes, bits }) => inPrefix(peer.address, { bytes, prefixBits: bits }));
}
