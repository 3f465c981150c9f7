/** Workloads as recorded flows tell them: by the unit or the container of the process at this host's end. */
import type { FlowProcess } from "../../flow.ts";
import type { Labels, Workload } from "../model.ts";

/** More would be names that a host makes up anew for each run of something. */
export const MOST_WORKLOADS = 4096;

export type Owner = Pick<FlowProcess, "unit" | "container">;

/** One that recorded flows may belong to: `key` is its container's id, or its unit. */
export interface RecordedWorkload extends Workload {
  readonly key: string;
}

/** A container is a workload of its own, whatever unit keeps it; a process of neither is only the node's. */
export function workloadKey({ unit, container }: Owner): string | undefined {
  return container ?? unit ?? undefined;
}

/** Scopes, sockets and mounts are made anew for each session or use: nobody writes a policy for one. */
export function isLasting({ unit, container }: Owner): boolean {
  return container !== null || unit?.endsWith(".service") === true;
}

/** What selectors are held against: what a unit or container is called, where a label can say it. */
export function workloadLabels({ unit, container }: Owner): Labels {
  if (container !== null) return { container: labelValue(container.slice(0, SHORT_ID)) };
  return unit === null ? {} : { unit: labelValue(unit) };
}

/** As container engines shorten ids. */
const SHORT_ID = 12;
const LABEL_LENGTH = 63;

/** Letters, digits, `-`, `_` and `.`, with a letter or digit at both ends: the rest of a name becomes `-`. */
function labelValue(text: string): string {
  return text
    .replace(/[^-A-Za-z0-9_.]/g, "-")
    .slice(0, LABEL_LENGTH)
    .replace(/^[-_.]+|[-_.]+$/g, "");
}

/** Those that run, under their numbers, then those that are only recorded. */
export function allWorkloads(
  running: readonly Workload[],
  recorded: readonly Owner[],
): readonly RecordedWorkload[] {
  const all = new Map<string, RecordedWorkload>();
  let endpoint = 0;
  for (const workload of running) {
    all.set(workload.name, { ...workload, key: workload.name });
    endpoint = Math.max(endpoint, workload.endpoint);
  }
  for (const owner of recorded.toSorted(byKey)) {
    const key = workloadKey(owner);
    if (key === undefined || all.has(key)) continue;
    all.set(key, { key, endpoint: ++endpoint, name: key, labels: workloadLabels(owner) });
  }
  return [...all.values()];
}

function byKey(a: Owner, b: Owner): number {
  const [first, second] = [workloadKey(a) ?? "", workloadKey(b) ?? ""];
  return first < second ? -1 : first > second ? 1 : 0;
}
