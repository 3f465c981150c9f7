/** Whom the policies select here, and which specs share the rules of a policy number. */
import {
  type Labels,
  NODE_ENDPOINT,
  type Policy,
  type PolicyDirection,
  type PolicySet,
  type PolicySpec,
  type World,
} from "../model.ts";
import { selectsLabels } from "../selects.ts";
import { type EndpointEntry, mode, policyNumber } from "../tables.ts";

export interface Subjects {
  readonly endpoints: readonly EndpointEntry[];
  /** Under which policy numbers the rules of a section stand; none where it selects nobody here. */
  readonly policiesOf: (section: PolicyDirection) => readonly number[];
  /** All policy numbers of ingress under which rules stand. */
  readonly ingress: readonly number[];
}

/** O(specs × endpoints). */
export function findSubjects(set: PolicySet, world: World): Subjects {
  const endpoints: EndpointEntry[] = [];
  const policiesOf = new Map<PolicyDirection, number[]>();
  const ingress: number[] = [];
  const firstWith = new Map<string, number>();
  const numbers = new Map<PolicySpec, number>();
  for (const spec of set.policies.flatMap(({ specs }) => specs)) numbers.set(spec, numbers.size);

  const add = (policy: number, egress: boolean, specs: readonly PolicySpec[]): void => {
    const sections = specs.map((spec) => (egress ? spec.egress : spec.ingress) as PolicyDirection);
    const key = `${egress} ${specs.map((spec) => numbers.get(spec)).join()}`;
    let rules = firstWith.get(key);
    if (rules === undefined) {
      rules = policy;
      firstWith.set(key, policy);
      if (!egress) ingress.push(policy);
      for (const section of sections) {
        const policies = policiesOf.get(section);
        if (policies === undefined) policiesOf.set(section, [policy]);
        else policies.push(policy);
      }
    }
    const denials = sections.filter(({ defaultDeny }) => defaultDeny).map((section) => section.defaultDenyId);
    const defaultDenyId = denials.reduce((lowest, id) => (lowest === 0 ? id : Math.min(lowest, id)), 0);
    endpoints.push({ policy, defaultDenyId, rules });
  };

  for (const { endpoint, labels } of allEndpoints(world)) {
    const selecting = set.policies.flatMap((policy) =>
      policy.specs.filter((spec) => selects(spec, endpoint, labels)).map((spec) => ({ policy, spec })),
    );
    for (const egress of [false, true]) {
      const inDirection = selecting.filter(({ spec }) => (egress ? spec.egress : spec.ingress) !== undefined);
      const enforced = inDirection.filter(({ policy }) => !policy.audit);
      if (enforced.length > 0) add(policyNumber(endpoint, mode.enforced, egress), egress, specsOf(enforced));
      if (enforced.length < inDirection.length) {
        add(policyNumber(endpoint, mode.all, egress), egress, specsOf(inDirection));
      }
    }
  }
  return { endpoints, policiesOf: (section) => policiesOf.get(section) ?? [], ingress };
}

function allEndpoints({ node, workloads }: World): { endpoint: number; labels: Labels }[] {
  return [
    { endpoint: NODE_ENDPOINT, labels: node.labels },
    ...workloads.toSorted((a, b) => a.endpoint - b.endpoint),
  ];
}

function selects({ subject }: PolicySpec, endpoint: number, labels: Labels): boolean {
  return (subject.kind === "endpoint" || endpoint === NODE_ENDPOINT) && selectsLabels(subject.labels, labels);
}

function specsOf(selecting: readonly { readonly policy: Policy; readonly spec: PolicySpec }[]): PolicySpec[] {
  return selecting.map(({ spec }) => spec);
}
