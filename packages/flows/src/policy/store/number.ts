/**
 * Rules get numbers that stay: the same rule of the same policy has one number in all generations, so that its
 * figures go on, and verdicts of old ones can still be named. Nothing depends on how numbers compare but which of
 * several rules that all allow (or all deny) is named.
 */
import { hash } from "node:crypto";
import { flowsFail } from "../../errors.ts";
import type { RuleMatch } from "../../recording/record.ts";
import type { Policy, PolicyDirection, PolicyRule, PolicySet, PolicySpec } from "../model.ts";
import { MANAGEMENT_ID, SESSION_ID } from "./schema.ts";
import type { RuleContent } from "./store.ts";

/** A verdict has 28 bits for it: VERDICT_ID of bpf/types.h. */
const MOST_ID = 2 ** 28 - 1;

/** @param ids numbers of rules, in their order. */
export function numbered(
  set: PolicySet,
  ids: (rules: readonly RuleContent[]) => readonly number[],
): PolicySet {
  const rules = set.policies.flatMap((policy) =>
    policy.specs.flatMap((spec) =>
      [spec.ingress, spec.egress].flatMap((section) =>
        section === undefined ? [] : sectionContents(policy, section),
      ),
    ),
  );
  return renumbered(set, ids(rules));
}

/**
 * @param ids of each section's default deny and then its rules, ingress before egress.
 * @throws X0_FLOWS_POLICY_TOO_LARGE
 */
export function renumbered(set: PolicySet, ids: readonly number[]): PolicySet {
  const given = ids[Symbol.iterator]();
  const next = (): number => {
    const id = given.next().value as number;
    if (id <= MOST_ID) return id;
    throw flowsFail("X0_FLOWS_POLICY_TOO_LARGE", `no number is left for rules: ${id} is above ${MOST_ID}`, {
      hint: "x0 policy reset, then begin with a new folder policy in the data directory",
    });
  };
  const renumber = (section: PolicyDirection | undefined): PolicyDirection | undefined =>
    section === undefined
      ? undefined
      : {
          ...section,
          defaultDenyId: next(),
          rules: section.rules.map((rule) => ({ ...rule, id: next() })),
        };
  const renumberSpec = (spec: PolicySpec): PolicySpec => {
    const ingress = renumber(spec.ingress);
    return { ...spec, ingress, egress: renumber(spec.egress) };
  };
  return { policies: set.policies.map((policy) => ({ ...policy, specs: policy.specs.map(renumberSpec) })) };
}

/** What the ids of verdicts stand for, as records tell it: the policy's name, the rule's path, what it matches by. */
export function namesOfRules(set: PolicySet): [id: number, name: string][] {
  const own: [number, string][] = [
    [MANAGEMENT_ID, told("", "management", "l4-only")],
    [SESSION_ID, told("", "session", "all")],
  ];
  for (const { name, specs } of set.policies)
    for (const { ingress, egress } of specs)
      for (const section of [ingress, egress]) {
        if (section === undefined) continue;
        own.push([section.defaultDenyId, told(name, section.path, "none")]);
        for (const rule of section.rules) own.push([rule.id, told(name, rule.path, matchedBy(rule))]);
      }
  return own;
}

function told(policy: string, path: string, match: RuleMatch): string {
  return `${policy} ${path} ${match}`;
}

/** Whether peers, ports or a protocol tell whom and what a rule is about. The entity `all` is everybody. */
export function matchedBy({ peers, ports }: Pick<PolicyRule, "peers" | "ports">): RuleMatch {
  const isAnybody =
    peers === undefined || peers.some((peer) => peer.kind === "entity" && peer.entity === "all");
  if (ports === undefined) return isAnybody ? "all" : "l3-only";
  const isWhole = ports.every(({ first, last }) => first === 0 && last === 65_535);
  if (isWhole) return isAnybody ? "proto-only" : "l3-proto";
  return isAnybody ? "l4-only" : "l3-l4";
}

/** Of a section's default deny and rules, in the order in which they are numbered. */
export function sectionContents(policy: Policy, section: PolicyDirection): RuleContent[] {
  const { name } = policy;
  return [
    { policy: name, path: section.path, content: "default deny" },
    ...section.rules.map(({ id: _, path, ...rule }) => ({ policy: name, path, content: digest(rule) })),
  ];
}

function digest(value: unknown): string {
  const text = JSON.stringify(value, (_, part: unknown) =>
    part instanceof Uint8Array ? Buffer.from(part).toString("hex") : part,
  );
  return hash("sha256", text, "base64url").slice(0, 22);
}
