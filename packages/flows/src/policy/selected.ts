import type { PolicySpec, World } from "./model.ts";
import { selectsLabels } from "./selects.ts";

export interface Selected {
  readonly thisNode: boolean;
  /** Names of this node and of members. */
  readonly nodes: readonly string[];
  readonly workloads: readonly string[];
}

/** Whom any of the specs selects as its subject, everywhere; workloads are those of this host. */
export function selectedBy(specs: readonly PolicySpec[], { node, members, workloads }: World): Selected {
  const isSelected = (labels: World["node"]["labels"], isWorkload: boolean): boolean =>
    specs.some(
      ({ subject }) => !(isWorkload && subject.kind === "node") && selectsLabels(subject.labels, labels),
    );
  const nodes = [node, ...members].filter(({ labels }) => isSelected(labels, false));
  return {
    thisNode: nodes.includes(node),
    nodes: nodes.map(({ name }) => name),
    workloads: workloads.filter(({ labels }) => isSelected(labels, true)).map(({ name }) => name),
  };
}
