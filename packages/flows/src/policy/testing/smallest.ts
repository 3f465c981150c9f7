import type { PolicyDirection, PolicyRule, PolicySet, PolicySpec } from "../model.ts";

/** The least of a set that still fails: nothing more can be left out of it. */
export function smallestFailing(set: PolicySet, fails: (set: PolicySet) => boolean): PolicySet {
  let smallest = set;
  for (let next: PolicySet | undefined = set; next !== undefined; next = smaller(smallest).find(fails)) {
    smallest = next;
  }
  return smallest;
}

/** Everything with one thing left out. */
function smaller({ policies }: PolicySet): PolicySet[] {
  return lessOf(policies, (policy) =>
    lessOf(policy.specs, smallerSpecs).map((specs) => ({ ...policy, specs })),
  ).map((fewer) => ({ policies: fewer }));
}

function smallerSpecs(spec: PolicySpec): PolicySpec[] {
  const { subject, ingress, egress } = spec;
  return [
    ...lessOf(subject.labels).map((labels) => ({ ...spec, subject: { ...subject, labels } })),
    ...smallerSections(ingress).map((section) => ({ ...spec, ingress: section })),
    ...smallerSections(egress).map((section) => ({ ...spec, egress: section })),
  ];
}

function smallerSections(section: PolicyDirection | undefined): (PolicyDirection | undefined)[] {
  if (section === undefined) return [];
  return [undefined, ...lessOf(section.rules, smallerRules).map((rules) => ({ ...section, rules }))];
}

function smallerRules(rule: PolicyRule): PolicyRule[] {
  const { peers, ports } = rule;
  return [
    ...(peers === undefined ? [] : [undefined, ...lessOf(peers)]).map((fewer) => ({ ...rule, peers: fewer })),
    ...(ports === undefined ? [] : [undefined, ...lessOf(ports)]).map((fewer) => ({ ...rule, ports: fewer })),
  ];
}

function lessOf<T>(things: readonly T[], smallerThings: (thing: T) => T[] = () => []): T[][] {
  return things.flatMap((thing, index) => [
    things.toSpliced(index, 1),
    ...smallerThings(thing).map((less) => things.with(index, less)),
  ]);
}
