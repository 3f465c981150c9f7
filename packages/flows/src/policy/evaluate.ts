/**
 * The verdict of an attempt, straight from the definitions: the oracle of the compiler and of the kernel's programs,
 * and what `x0 policy check` explains from. Connection state, management and what a network needs to work at all
 * (neighbour discovery, DHCP) are settled before a policy is asked. O(policies × rules × peers).
 */
import { isMappedIPv4 } from "../address.ts";
import { inPrefix } from "../filter.ts";
import { nameMatches } from "./language/dns-names.ts";
import {
  type Attempt,
  type Labels,
  NODE_ENDPOINT,
  type PeerSelector,
  type Policy,
  type PolicyDirection,
  type PolicyRule,
  type PolicySet,
  type PolicySpec,
  type PortSelector,
  policyProtocols,
  type Verdict,
  type World,
} from "./model.ts";
import { selectsLabels } from "./selects.ts";

/** What is denied only with the policies in audit is told as `audit`; an id tells who decided, also in audit. */
export function evaluate(set: PolicySet, world: World, attempt: Attempt): Verdict {
  if (isToItself(attempt)) return { decision: "allow", id: 0 };
  const enforced = decide(
    set.policies.filter(({ audit }) => !audit),
    world,
    attempt,
  );
  if (enforced.decision === "deny") return enforced;
  const all = decide(set.policies, world, attempt);
  if (all.decision === "deny") return { decision: "audit", id: all.id };
  return enforced.id === 0 ? all : enforced;
}

/** As within a pod: no policy is asked. */
export function isToItself({ endpoint, peer }: Pick<Attempt, "endpoint" | "peer">): boolean {
  return endpoint !== NODE_ENDPOINT && peer.workload === endpoint;
}

/** Any deny rule, else any allow rule, else any default deny; of each the lowest id. */
function decide(policies: readonly Policy[], world: World, attempt: Attempt): Verdict {
  const directions = applying(policies, world, attempt);
  const matching = directions
    .flatMap(({ direction }) => direction.rules)
    .filter((rule) => ruleMatches(rule, world, attempt));
  const denying = matching.filter(({ deny }) => deny);
  if (denying.length > 0) return { decision: "deny", id: lowest(denying.map(({ id }) => id)) };
  if (matching.length > 0) return { decision: "allow", id: lowest(matching.map(({ id }) => id)) };
  const defaults = directions.filter(({ direction }) => direction.defaultDeny);
  if (defaults.length === 0) return { decision: "allow", id: 0 };
  return { decision: "deny", id: lowest(defaults.map(({ direction }) => direction.defaultDenyId)) };
}

const lowest = (ids: readonly number[]): number => ids.reduce((least, id) => Math.min(least, id));

/** What a policy says of one endpoint in one direction. */
export interface Applying {
  readonly policy: Policy;
  readonly spec: PolicySpec;
  readonly direction: PolicyDirection;
}

/** Of all specs those that select the endpoint and speak of the direction. */
export function applying(
  policies: readonly Policy[],
  world: World,
  { endpoint, direction }: Pick<Attempt, "endpoint" | "direction">,
): Applying[] {
  return policies.flatMap((policy) =>
    policy.specs.flatMap((spec) => {
      const section = spec[direction];
      return section !== undefined && selectsEndpoint(spec, world, endpoint)
        ? [{ policy, spec, direction: section }]
        : [];
    }),
  );
}

/** @param endpoint NODE_ENDPOINT or a workload. One that is gone is selected by nothing. */
export function selectsEndpoint({ subject }: PolicySpec, world: World, endpoint: number): boolean {
  if (endpoint === NODE_ENDPOINT) return selectsLabels(subject.labels, world.node.labels);
  if (subject.kind === "node") return false;
  const workload = world.workloads.find((one) => one.endpoint === endpoint);
  return workload !== undefined && selectsLabels(subject.labels, workload.labels);
}

export function ruleMatches(rule: PolicyRule, world: World, attempt: Attempt): boolean {
  return (
    (rule.peers?.some((peer) => peerMatches(peer, world, attempt.peer)) ?? true) &&
    (rule.ports?.some((port) => portMatches(port, attempt)) ?? true)
  );
}

/** Unknown ports are in no range but the whole one. */
export function portMatches(
  { protocol, first, last }: PortSelector,
  attempt: Pick<Attempt, "protocol" | "port">,
): boolean {
  if (attempt.protocol !== policyProtocols[protocol]) return false;
  if (attempt.port === undefined) return first === 0 && last === 65_535;
  return attempt.port >= first && attempt.port <= last;
}

/** Who is at an address, or a local workload behind it. */
export type Identity =
  | {
      readonly kind: "workload" | "host" | "remote-node";
      readonly isOnHost: boolean;
      readonly labels: Labels;
    }
  | { readonly kind: "world" };

export function identify({ node, members, workloads }: World, peer: Attempt["peer"]): Identity {
  const { address, workload } = peer;
  if (workload !== undefined) {
    const found = workloads.find(({ endpoint }) => endpoint === workload);
    return { kind: "workload", isOnHost: found?.addresses === undefined, labels: found?.labels ?? {} };
  }
  const isThere = (own: Uint8Array): boolean => Buffer.compare(own, address) === 0;
  if (node.addresses.some(isThere)) return { kind: "host", isOnHost: true, labels: node.labels };
  const member = members.find(({ addresses }) => addresses.some(isThere));
  if (member !== undefined) return { kind: "remote-node", isOnHost: false, labels: member.labels };
  const owner = workloads.find(({ addresses }) => addresses?.some(isThere));
  return owner === undefined
    ? { kind: "world" }
    : { kind: "workload", isOnHost: false, labels: owner.labels };
}

/** Prefixes and names are of the world only: they select no member, no address of this host and no workload. */
export function peerMatches(selector: PeerSelector, world: World, peer: Attempt["peer"]): boolean {
  const identity = identify(world, peer);
  switch (selector.kind) {
    case "endpoints":
      return identity.kind !== "world" && selectsLabels(selector.labels, identity.labels);
    case "nodes":
      return identity.kind === "remote-node" && selectsLabels(selector.labels, identity.labels);
    case "cidr": {
      const holds = ({ bytes, bits }: { bytes: Uint8Array; bits: number }): boolean =>
        inPrefix(peer.address, { bytes, prefixBits: bits });
      return identity.kind === "world" && holds(selector.prefix) && !selector.except.some(holds);
    }
    case "name":
    case "pattern":
      return (
        identity.kind === "world" && world.names(peer.address).some((name) => nameMatches(selector, name))
      );
    case "entity":
      switch (selector.entity) {
        case "all":
          return true;
        case "cluster":
          return identity.kind !== "world";
        // As in Cilium, what shares the host's network is part of it.
        case "host":
          return identity.kind !== "world" && identity.isOnHost;
        case "world":
        case "remote-node":
          return identity.kind === selector.entity;
        case "world-ipv4":
          return identity.kind === "world" && isMappedIPv4(peer.address);
        case "world-ipv6":
          return identity.kind === "world" && !isMappedIPv4(peer.address);
      }
  }
}
