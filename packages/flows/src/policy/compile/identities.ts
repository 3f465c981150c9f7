/** What rules select this node, each member and each workload: by labels and entities, never by prefix or name. */
import type { Entity, Labels, PeerSelector, World } from "../model.ts";
import { selectsLabels } from "../selects.ts";

export interface Identities {
  /** Of this node, each member and each workload with addresses of its own: these, and the rules, ascending. */
  readonly nodes: readonly { readonly addresses: readonly Uint8Array[]; readonly rules: readonly number[] }[];
  readonly workloads: readonly { readonly endpoint: number; readonly rules: readonly number[] }[];
}

/** `local`: a workload in this host's network. */
type Kind = "host" | "remote-node" | "workload" | "local";

interface Candidate {
  readonly selector: PeerSelector;
  readonly rules: number[];
}

/** O(different selectors × identities). */
export function findIdentities(
  rules: readonly { readonly peers: readonly PeerSelector[] }[],
  { node, members, workloads }: World,
): Identities {
  const candidates = new Map<string, Candidate>();
  for (const [rule, { peers }] of rules.entries()) {
    for (const selector of peers) {
      if (selector.kind !== "endpoints" && selector.kind !== "nodes" && selector.kind !== "entity") continue;
      const key = JSON.stringify(selector);
      const candidate = candidates.get(key);
      if (candidate === undefined) candidates.set(key, { selector, rules: [rule] });
      else candidate.rules.push(rule);
    }
  }
  const selectors = [...candidates.values()];
  const rulesFor = (kind: Kind, labels: Labels): number[] => {
    const selecting = selectors.filter(({ selector }) => selectsIdentity(selector, kind, labels));
    return [...new Set(selecting.flatMap((candidate) => candidate.rules))].sort((a, b) => a - b);
  };
  return {
    nodes: [
      { addresses: node.addresses, rules: rulesFor("host", node.labels) },
      ...members.map(({ addresses, labels }) => ({ addresses, rules: rulesFor("remote-node", labels) })),
      ...workloads.flatMap(({ addresses, labels }) =>
        addresses === undefined ? [] : [{ addresses, rules: rulesFor("workload", labels) }],
      ),
    ],
    workloads: workloads
      .toSorted((a, b) => a.endpoint - b.endpoint)
      .map(({ endpoint, labels, addresses }) => ({
        endpoint,
        rules: rulesFor(addresses === undefined ? "local" : "workload", labels),
      })),
  };
}

function selectsIdentity(selector: PeerSelector, kind: Kind, labels: Labels): boolean {
  switch (selector.kind) {
    case "endpoints":
      return selectsLabels(selector.labels, labels);
    case "nodes":
      return kind === "remote-node" && selectsLabels(selector.labels, labels);
    case "entity":
      return entityHolds(selector.entity, kind);
    default:
      return false;
  }
}

function entityHolds(entity: Entity, kind: Kind): boolean {
  switch (entity) {
    case "all":
    case "cluster":
      return true;
    case "host":
      return kind === "host" || kind === "local";
    case "remote-node":
      return kind === "remote-node";
    default:
      return false;
  }
}
