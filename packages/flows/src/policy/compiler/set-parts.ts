/**
 * A set in parts, each of which crosses a channel in a few milliseconds: a set of ten thousand rules at once would hold
 * up whoever receives it for a tenth of a second.
 */
import type { Policy, PolicyDirection, PolicyRule, PolicySet, PolicySpec } from "../model.ts";
import { sectionContents } from "../store/number.ts";
import type { RuleContent } from "../store/store.ts";

/** Sections and rules of one part. */
const PART = 500;

export interface SetPart {
  /** Those that begin here, without their rules, and with how many rules each of their sections has. */
  readonly policies: readonly { readonly policy: Policy; readonly counts: readonly number[] }[];
  readonly rules: readonly PolicyRule[];
  /** Of sections and rules, in the order in which they are numbered. */
  readonly contents: readonly RuleContent[];
}

interface Growing {
  readonly policies: { policy: Policy; counts: number[] }[];
  readonly rules: PolicyRule[];
  readonly contents: RuleContent[];
}

export function partsOf({ policies }: PolicySet): readonly SetPart[] {
  const parts: Growing[] = [];
  const room = (): Growing => {
    const last = parts.at(-1);
    if (last !== undefined && last.policies.length + last.contents.length < PART) return last;
    const fresh: Growing = { policies: [], rules: [], contents: [] };
    parts.push(fresh);
    return fresh;
  };
  for (const policy of policies) {
    const sections = sectionsOf(policy);
    const bare = policy.specs.map((spec) => withSections(spec, (section) => ({ ...section, rules: [] })));
    room().policies.push({
      policy: { ...policy, specs: bare },
      counts: sections.map(({ rules }) => rules.length),
    });
    for (const section of sections) {
      const [first, ...contents] = sectionContents(policy, section);
      if (first !== undefined) room().contents.push(first);
      for (const [index, content] of contents.entries()) {
        const part = room();
        part.contents.push(content);
        part.rules.push(section.rules[index] as PolicyRule);
      }
    }
  }
  return parts;
}

/** The set of parts, with these numbers in the place of its own. */
export function gathered(parts: readonly SetPart[], ids: readonly number[]): PolicySet {
  const rules = parts.flatMap((part) => part.rules)[Symbol.iterator]();
  const numbers = ids[Symbol.iterator]();
  const next = (): number => numbers.next().value as number;
  const policies = parts.flatMap((part) =>
    part.policies.map(({ policy, counts }): Policy => {
      const left = counts[Symbol.iterator]();
      const fill = (section: PolicyDirection): PolicyDirection => ({
        ...section,
        defaultDenyId: next(),
        rules: Array.from({ length: left.next().value as number }, () => ({
          ...(rules.next().value as PolicyRule),
          id: next(),
        })),
      });
      return { ...policy, specs: policy.specs.map((spec) => withSections(spec, fill)) };
    }),
  );
  return { policies };
}

/** In the order in which they are numbered. */
function sectionsOf({ specs }: Policy): PolicyDirection[] {
  return specs.flatMap(({ ingress, egress }) => [ingress ?? [], egress ?? []].flat());
}

function withSections(spec: PolicySpec, change: (section: PolicyDirection) => PolicyDirection): PolicySpec {
  const ingress = spec.ingress && change(spec.ingress);
  return { ...spec, ingress, egress: spec.egress && change(spec.egress) };
}
