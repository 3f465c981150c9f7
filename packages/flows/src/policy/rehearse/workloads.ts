/** Workloads as recorded flows tell them: by the cgroup of the process at this host's end. */
import type { FlowProcess } from "../../flow.ts";
import { workloadOf } from "../../insight/workload.ts";
import type { Labels, Workload } from "../model.ts";
import { type Owner, workloadName } from "../workloads/name.ts";

/** More would be names that a host makes up anew for each run of something. */
export const MOST_WORKLOADS = 4096;
/** Paths of cgroups that are remembered. */
const MOST_PATHS = 65_536;
/** As deep as the kernel side looks. */
const MOST_LEVELS = 7;

/** Finds the workloads that a process belongs to, the innermost first. */
export type OwnersOf = (process: FlowProcess) => readonly Owner[];

export function ownersByCgroup(): OwnersOf {
  const known = new Map<string, readonly Owner[]>();
  return ({ cgroup, unit, container }) => {
    if (cgroup === null) return workloadName({ unit, container }) === "" ? [] : [{ unit, container }];
    const before = known.get(cgroup);
    if (before !== undefined) return before;
    if (known.size >= MOST_PATHS) known.clear();
    const owners = new Map<string, Owner>();
    const folders = cgroup.split("/").filter((folder) => folder !== "");
    for (let level = 1; level <= Math.min(MOST_LEVELS, folders.length); level++) {
      const owner = workloadOf(`/${folders.slice(0, level).join("/")}`);
      const name = workloadName(owner);
      if (name !== "" && !owners.has(name)) owners.set(name, owner);
    }
    const found = [...owners.values()].reverse();
    known.set(cgroup, found);
    return found;
  };
}

/**
 * Whether a policy can be written for it. Scopes, sockets and mounts are made anew for each session or use, and some
 * names are none that a selector can have: those are their node's alone.
 */
export function isSubject({ unit, container }: Owner): boolean {
  const isLasting = container !== null || unit?.endsWith(".service") === true;
  return isLasting && isLabelValue(workloadName({ unit, container }));
}

/** Labels that everything has beside those that the configuration gives. */
const own = ["name", "unit", "container"];

/** Those that the configuration gives to it, and maybe to others. */
export function givenLabels(labels: Labels): Labels {
  return Object.fromEntries(Object.entries(labels).filter(([key]) => !own.includes(key)));
}

/** What selects it and nothing else. */
export function selectorOf(owner: Owner): Labels {
  // Nodes have names too, but no units.
  return owner.container === null ? { unit: owner.unit ?? "" } : { name: workloadName(owner) };
}

function isLabelValue(text: string): boolean {
  return /^(?=.{1,63}$)[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/.test(text);
}

/** Those that run, under their numbers, then those that are only recorded. */
export function allWorkloads(
  running: readonly Workload[],
  recorded: readonly Owner[],
  labelsOf: (owner: Owner) => Labels,
): readonly Workload[] {
  const names = new Set(running.map(({ name }) => name));
  const taken = new Set(running.map(({ endpoint }) => endpoint));
  let endpoint = 0;
  const only = recorded
    .toSorted((a, b) => (workloadName(a) < workloadName(b) ? -1 : 1))
    .flatMap((owner): Workload[] => {
      const name = workloadName(owner);
      if (name === "" || names.has(name)) return [];
      names.add(name);
      do endpoint++;
      while (taken.has(endpoint));
      return [{ endpoint, name, labels: labelsOf(owner) }];
    });
  return [...running, ...only];
}
