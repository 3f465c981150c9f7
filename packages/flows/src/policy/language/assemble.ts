/** Documents → a set: ids for rules and default denies, members for groups of prefixes. */
import type { PeerSelector, Policy, PolicyDirection, PolicySet, PolicySpec, Prefix } from "../model.ts";
import { selectsLabels } from "../selects.ts";
import type { CidrGroup, DraftDirection, GroupPeer, PolicyDocument } from "./draft.ts";
import type { Problem } from "./problem.ts";

export interface AssembleOptions {
  /** Names of policies that only tell their verdicts. */
  readonly audited?: ReadonlySet<string>;
}

export interface Assembled {
  readonly set: PolicySet;
  /** Groups that are asked for and missing: nobody is selected by them, as in Cilium. */
  readonly warnings: readonly Problem[];
}

/**
 * Ids grow from 1 in the order of names, specs, ingress before egress, and rules as written; before the rules of a
 * direction comes the id of its default deny.
 * @throws RangeError where a name stands twice, which `parsePolicies` tells as a problem.
 */
export function assemble(
  documents: readonly PolicyDocument[],
  groups: readonly CidrGroup[],
  { audited = new Set() }: AssembleOptions = {},
): Assembled {
  const sorted = documents.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const twice = sorted.find(({ name }, index) => name === sorted[index + 1]?.name);
  if (twice !== undefined) throw new RangeError(`two policies are named ${twice.name}`);
  const warnings: Problem[] = [];
  let lastId = 0;
  const number = (direction: DraftDirection, document: PolicyDocument): PolicyDirection => {
    const defaultDenyId = ++lastId;
    const rules = direction.rules.map(({ path, deny, peers, ports }) => ({
      id: ++lastId,
      path,
      deny,
      peers: peers?.flatMap((peer) =>
        peer.kind === "group" ? membersOf(peer, groups, document, warnings) : [peer],
      ),
      ports,
    }));
    return { path: direction.path, defaultDenyId, defaultDeny: direction.defaultDeny, rules };
  };
  const policies = sorted.map((document): Policy => {
    const specs = document.specs.map(
      ({ path, subject, ingress, egress, description, log }): PolicySpec => ({
        path,
        subject,
        ingress: ingress && number(ingress, document),
        egress: egress && number(egress, document),
        description,
        log,
      }),
    );
    const { kind, name, labels } = document;
    return { kind, name, labels, audit: audited.has(name), specs };
  });
  return { set: { policies }, warnings };
}

function membersOf(
  { group, except, path, line, column }: GroupPeer,
  groups: readonly CidrGroup[],
  { file, document }: PolicyDocument,
  warnings: Problem[],
): PeerSelector[] {
  const selected = groups.filter(({ name, labels }) =>
    typeof group === "string" ? name === group : selectsLabels(group, labels),
  );
  if (selected.length === 0) {
    const which = typeof group === "string" ? `named ${group}` : "with such labels";
    const message = `there is no CiliumCIDRGroup ${which}: it selects nobody`;
    warnings.push({ severity: "warning", file, document, line, column, path, message });
  }
  return selected.flatMap(({ prefixes }) =>
    prefixes.map((prefix: Prefix): PeerSelector => ({ kind: "cidr", prefix, except })),
  );
}
