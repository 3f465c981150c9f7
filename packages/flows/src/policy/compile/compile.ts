/**
 * Policies as the kernel's tables. What the naive evaluator works out for each attempt is worked out here once: whom
 * a spec selects on this host (subjects.ts), which rules select which address (peers.ts), which of these decides for
 * which port (settle.ts). The same input gives the same tables, entry for entry.
 */
import { flowsFail } from "../../errors.ts";
import { type PeerSelector, type PolicyRule, type PolicySet, policyProtocols, type World } from "../model.ts";
import {
  ANY_PEER,
  type Management,
  NAME_PEER,
  type NameEntry,
  type RuleEntry,
  ruleClass,
  type Tables,
} from "../tables.ts";
import { createCells } from "./cells.ts";
import { findIdentities } from "./identities.ts";
import { MAX_ENTRIES, MEETINGS_PER_ENTRY, MIN_SAVING } from "./limits.ts";
import { partitionPeers } from "./peers.ts";
import { type Decider, settle } from "./settle.ts";
import { findSubjects } from "./subjects.ts";

export interface CompileOptions {
  readonly maxEntries?: number;
  /** Entries that splitting a peer's rules between two numbers must save. */
  readonly minSaving?: number;
  /**
   * From 0 on. What holds addresses by the numbers of their names, from one table to the next, needs numbers that never
   * come to mean another name.
   */
  readonly numberOfName?: (kind: NameEntry["kind"], text: string) => number;
}

/** A rule of some section that selects somebody here. */
interface UsedRule {
  readonly decider: Decider;
  /** Policy numbers under which it stands. */
  readonly policies: readonly number[];
  /** Undefined: whoever it is. */
  readonly peers: readonly PeerSelector[] | undefined;
}

/**
 * @param management undefined: nothing stays reachable on its account.
 * @throws X0_FLOWS_POLICY_TOO_LARGE
 */
export function compile(
  set: PolicySet,
  world: World,
  management: Management | undefined,
  { maxEntries = MAX_ENTRIES, minSaving = MIN_SAVING, numberOfName }: CompileOptions = {},
): Tables {
  const subjects = findSubjects(set, world);
  const used = set.policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ ingress, egress }) => [ingress, egress])
    .filter((section) => section !== undefined)
    .flatMap((section) => section.rules.map((rule) => usedRule(rule, subjects.policiesOf(section))))
    .filter(({ policies, peers }) => policies.length > 0 && peers?.length !== 0);
  const managing = management === undefined ? undefined : managementRule(management, subjects.ingress);
  const forAll = used.filter(({ peers }) => peers === undefined);
  const forSome = used.filter(({ peers }) => peers !== undefined);
  if (managing !== undefined) (managing.peers === undefined ? forAll : forSome).push(managing);

  const rules: RuleEntry[] = [];
  const add = (peer: number, among: readonly UsedRule[]): void => {
    for (const [policy, deciders] of byPolicy(among)) {
      for (const settled of settle(deciders)) rules.push({ policy, peer, ...settled });
      if (rules.length > maxEntries) throw tooLarge(maxEntries);
    }
  };

  const cells = createCells(maxEntries * MEETINGS_PER_ENTRY);
  const peerRules = forSome.map(({ peers = [], decider }) => ({
    peers,
    weight: decider.ports === undefined ? 1 : decider.ports.length,
  }));
  const identities = findIdentities(peerRules, world);
  const isSourced = managing?.peers !== undefined && management !== undefined;
  const sources = isSourced ? { rule: forSome.length - 1, prefixes: management.sources } : undefined;
  const usedNames = namesIn(forSome);
  const marksNodes = usedNames.length > 0;
  const partition = { rules: peerRules, identities, sources, cells, marksNodes, minSaving };
  const { peers, workloads } = partitionPeers(partition);

  add(ANY_PEER, forAll);
  const pick = (selecting: readonly number[]): UsedRule[] =>
    selecting.map((rule) => forSome[rule] as UsedRule);
  for (const peer of cells.numbers()) add(peer, pick(cells.rulesOf(peer)));
  const names = usedNames.map(({ kind, text, selecting }, index): NameEntry => {
    const peer = NAME_PEER + (numberOfName?.(kind, text) ?? index);
    add(peer, selecting);
    return { peer, kind, text };
  });
  const { endpoints } = subjects;
  const count = peers.length + workloads.length + endpoints.length + rules.length;
  if (count > maxEntries) throw tooLarge(maxEntries);
  return { peers, workloads, endpoints, rules, names };
}

function usedRule({ deny, id, peers, ports }: PolicyRule, policies: readonly number[]): UsedRule {
  const decider: Decider = {
    class: deny ? ruleClass.deny : ruleClass.allow,
    id,
    ports: ports?.map(({ protocol, first, last }) => ({ protocol: policyProtocols[protocol], first, last })),
  };
  const isForAll = peers?.some((selector) => selector.kind === "entity" && selector.entity === "all");
  return { decider, policies, peers: isForAll ? undefined : peers };
}

/** Its sources select by address alone, so they are no selectors of peers. */
function managementRule({ id, ports, sources }: Management, policies: readonly number[]): UsedRule {
  return {
    decider: {
      class: ruleClass.management,
      id,
      ports: ports.map(({ protocol, port }) => ({ protocol, first: port, last: port })),
    },
    policies,
    peers: sources.length === 0 ? undefined : [],
  };
}

function byPolicy(rules: readonly UsedRule[]): [number, Decider[]][] {
  const deciders = new Map<number, Decider[]>();
  for (const { policies, decider } of rules) {
    for (const policy of policies) {
      const together = deciders.get(policy);
      if (together === undefined) deciders.set(policy, [decider]);
      else together.push(decider);
    }
  }
  return [...deciders].sort(([a], [b]) => a - b);
}

interface UsedName extends Omit<NameEntry, "peer"> {
  readonly selecting: UsedRule[];
}

function namesIn(rules: readonly UsedRule[]): UsedName[] {
  const names = new Map<string, UsedName>();
  for (const rule of rules) {
    for (const selector of rule.peers ?? []) {
      if (selector.kind !== "name" && selector.kind !== "pattern") continue;
      const text = selector.kind === "name" ? selector.name : selector.pattern;
      const key = `${selector.kind} ${text}`;
      const name = names.get(key);
      if (name === undefined) names.set(key, { kind: selector.kind, text, selecting: [rule] });
      else if (name.selecting.at(-1) !== rule) name.selecting.push(rule);
    }
  }
  return [...names].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, name]) => name);
}

function tooLarge(maxEntries: number) {
  return flowsFail("X0_FLOWS_POLICY_TOO_LARGE", `the policies need more than ${maxEntries} entries`, {
    hint: "name ranges of ports and prefixes that many rules share in one rule",
  });
}
