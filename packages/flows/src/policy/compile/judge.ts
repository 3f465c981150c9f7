/**
 * Verdicts from the tables as the kernel takes them: what rehearses many flows, and holds the tables against the naive
 * evaluator. A verdict costs a few look-ups, however many rules there are.
 */
import { isToItself } from "../evaluate.ts";
import { nameMatches } from "../language/dns-names.ts";
import type { Attempt, Prefix, Verdict } from "../model.ts";
import {
  ANY_PEER,
  type EndpointEntry,
  mode,
  type NameEntry,
  policyNumber,
  type RuleEntry,
  ruleClass,
  type Tables,
} from "../tables.ts";
import { longestMatch, parentsOf } from "./prefix-tree.ts";

const PROTOCOL_BITS = 8;
const ALL_BITS = 24;

/** The rules of one policy and peer: by length in bits, then by those bits. */
type RulesOfPeer = (Map<number, RuleEntry> | undefined)[];

/** Attempts in two steps, so that whoever judges many takes the first once for each peer. */
export interface Judge {
  /** Numbers of the rules' peers under which an address, or a workload of this host, is looked up. */
  peers(peer: Attempt["peer"]): readonly number[];
  /** Those of selectors by name that select any of these names: to be added for addresses of the world. */
  named(names: readonly string[]): readonly number[];
  /** @param asked numbers of the peer. */
  verdict(attempt: Omit<Attempt, "peer">, asked: readonly number[]): Verdict;
}

export function createJudge({ peers, workloads, endpoints, rules, names: entries }: Tables): Judge {
  const endpointOf = new Map(endpoints.map((entry) => [entry.policy, entry]));
  const workloadOf = new Map(workloads.map((entry) => [entry.endpoint, entry]));
  const rulesOf = new Map<number, Map<number, RulesOfPeer>>();
  for (const rule of rules) place(rulesOf, rule);
  const prefixes: Prefix[] = peers.map(({ address, bits }) => ({ bytes: address, bits }));
  const parents = parentsOf(prefixes);
  const selectors = entries.map((entry) => ({ selector: selectorOf(entry), peer: entry.peer }));

  const decide = (
    endpoint: EndpointEntry | undefined,
    attempt: Omit<Attempt, "peer">,
    asked: readonly number[],
  ): Verdict => {
    if (endpoint === undefined) return { decision: "allow", id: 0 };
    const policy = rulesOf.get(endpoint.rules);
    let best: RuleEntry | undefined;
    for (const peer of asked) {
      const rule = find(policy?.get(peer), attempt);
      if (rule === undefined || rule.class === ruleClass.none) continue;
      if (best === undefined || rule.class > best.class || (rule.class === best.class && rule.id < best.id)) {
        best = rule;
      }
    }
    if (best !== undefined)
      return { decision: best.class === ruleClass.deny ? "deny" : "allow", id: best.id };
    return { decision: endpoint.defaultDenyId === 0 ? "allow" : "deny", id: endpoint.defaultDenyId };
  };

  return {
    peers({ address, workload }) {
      const entry =
        workload === undefined ? peers[longestMatch(prefixes, parents, address)] : workloadOf.get(workload);
      return entry === undefined ? [ANY_PEER] : [ANY_PEER, entry.peer, entry.wider];
    },
    named: (names) =>
      selectors
        .filter(({ selector }) => names.some((text) => nameMatches(selector, text)))
        .map(({ peer }) => peer),
    verdict(attempt, asked) {
      const isEgress = attempt.direction === "egress";
      const endpointIn = (which: number): EndpointEntry | undefined =>
        endpointOf.get(policyNumber(attempt.endpoint, which, isEgress));
      const enforced = decide(endpointIn(mode.enforced), attempt, asked);
      if (enforced.decision === "deny") return enforced;
      const all = decide(endpointIn(mode.all), attempt, asked);
      if (all.decision === "deny") return { decision: "audit", id: all.id };
      return enforced.id === 0 ? all : enforced;
    },
  };
}

/** @param names of an address of the world: those of nodes' addresses count for nothing. */
export function judgeBy(
  tables: Tables,
  names: (address: Uint8Array) => readonly string[],
): (attempt: Attempt) => Verdict {
  const judge = createJudge(tables);
  return (attempt) => {
    if (isToItself(attempt)) return { decision: "allow", id: 0 };
    const { address, workload } = attempt.peer;
    const here = judge.peers(attempt.peer);
    const isNamed = tables.names.length > 0 && workload === undefined;
    return judge.verdict(attempt, isNamed ? here.concat(judge.named(names(address))) : here);
  };
}

function place(rulesOf: Map<number, Map<number, RulesOfPeer>>, rule: RuleEntry): void {
  const policy = rulesOf.get(rule.policy) ?? new Map<number, RulesOfPeer>();
  const peer = policy.get(rule.peer) ?? [];
  const sameLength = peer[rule.bits] ?? new Map<number, RuleEntry>();
  sameLength.set(leading(rule.protocol, rule.port, rule.bits), rule);
  peer[rule.bits] = sameLength;
  policy.set(rule.peer, peer);
  rulesOf.set(rule.policy, policy);
}

function find(
  rules: RulesOfPeer | undefined,
  { protocol, port }: Pick<Attempt, "protocol" | "port">,
): RuleEntry | undefined {
  if (rules === undefined) return undefined;
  for (let bits = port === undefined ? PROTOCOL_BITS : ALL_BITS; bits >= 0; bits--) {
    const found = rules[bits]?.get(leading(protocol, port ?? 0, bits));
    if (found !== undefined) return found;
  }
  return undefined;
}

function leading(protocol: number, port: number, bits: number): number {
  return ((protocol << 16) | port) >>> (ALL_BITS - bits);
}

function selectorOf({ kind, text }: NameEntry): Parameters<typeof nameMatches>[0] {
  return kind === "name" ? { kind, name: text } : { kind, pattern: text };
}
