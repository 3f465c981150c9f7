import type { WorkloadPlace } from "../enforce/contract.ts";
import type { PolicySet, World } from "../model.ts";
import { selectsLabels } from "../selects.ts";

/** Where the workloads are that any of the policies selects. */
export function placesOf({ policies }: PolicySet, { workloads }: World): WorkloadPlace[] {
  const subjects = policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ subject }) => (subject.kind === "endpoint" ? [subject.labels] : []));
  return workloads.flatMap(({ endpoint, labels, cgroup }) =>
    cgroup !== undefined && subjects.some((selector) => selectsLabels(selector, labels))
      ? [{ endpoint, path: cgroup.path, cgroup: cgroup.id }]
      : [],
  );
}
