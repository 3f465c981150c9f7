import type { FlowProcess } from "../../flow.ts";

/** What a unit or a container is told by; both null where a process belongs to neither. */
export type Owner = Pick<FlowProcess, "unit" | "container">;

const CONTAINER_DIGITS = 12;

/** A container is a workload of its own, whatever unit keeps it. Empty for neither. */
export function workloadName({ unit, container }: Owner): string {
  return container === null ? (unit ?? "") : container.slice(0, CONTAINER_DIGITS);
}
