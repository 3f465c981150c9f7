import type { WorkloadPlace } from "../enforce/contract.ts";
import type { PolicySet, World } from "../model.ts";
import { selectsLabels } from "../selects.ts";

/** Where the workloads are, if any of the policies selects one. */
export function placesOf({ policies }: PolicySet, { workloads }: World): WorkloadPlace[] {
  const subjects = policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ subject }) => (subject.kind === "endpoint" ? [subject.labels] : []));
  const places = workloads.flatMap(({ endpoint, labels, cgroup }): WorkloadPlace[] => {
    if (cgroup === undefined) return [];
    const isJudged = subjects.some((selector) => selectsLabels(selector, labels));
    return [{ endpoint, path: cgroup.path, cgroup: cgroup.id, isJudged }];
  });
  return places.some(({ isJudged }) => isJudged) ? places : [];
}
