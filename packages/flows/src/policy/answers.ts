/** The repository's state in the words of the API. */
import { formatAddress } from "../address.ts";
import type { EnforcementFigures } from "./enforce/contract.ts";
import type { Policy, PolicySet, PolicySpec, World } from "./model.ts";
import type { AdmittedAddress } from "./names/contract.ts";
import type { NameStore } from "./names/name-store.ts";
import type { RepositoryStatus } from "./repository.ts";
import type { AdmittedAnswer, DocumentAnswer, ListAnswer, RuleFiguresAnswer, StateAnswer } from "./schema.ts";
import { selectedBy } from "./selected.ts";
import type { RuleContent, StoredDocument } from "./store/store.ts";

const iso = (ms: number): string => new Date(ms).toISOString();

export function stateAnswer(status: RepositoryStatus, figures: EnforcementFigures | undefined): StateAnswer {
  const { held, waiting, off, world } = status;
  const shown = waiting?.held ?? held;
  const sections = (shown?.compiled?.set.policies ?? []).flatMap(({ specs }) => specs.flatMap(sectionsOf));
  return {
    enforced: off === undefined && shown?.inKernel !== undefined,
    reason: off?.reason ?? null,
    hint: off?.hint ?? null,
    node: {
      name: world.node.name,
      labels: world.node.labels,
      addresses: world.node.addresses.map(formatAddress),
    },
    generation: shown?.stored.number ?? null,
    applied: shown === undefined ? null : iso(shown.stored.appliedMs),
    management: shown?.stored.management ?? true,
    pin: shown?.stored.pin ?? false,
    waiting:
      waiting === undefined
        ? null
        : {
            generation: waiting.held.stored.number,
            secondsLeft: waiting.leftMs / 1000,
            applied: iso(waiting.held.stored.appliedMs),
            documents: waiting.held.stored.documents.map(({ name }) => name),
          },
    counts: {
      documents: shown?.stored.documents.length ?? 0,
      audit: shown?.stored.documents.filter(({ audit }) => audit).length ?? 0,
      rules: sections.reduce((sum, { rules }) => sum + rules, 0),
      entries: shown?.compiled?.tables.count ?? 0,
      connections: figures?.connections ?? null,
      verdicts: figures?.verdicts ?? null,
      unremembered: figures?.unremembered ?? null,
      related: figures?.related ?? null,
    },
  };
}

export function listAnswer(status: RepositoryStatus, figures: EnforcementFigures | undefined): ListAnswer {
  const shown = status.waiting?.held ?? status.held;
  const policyOf = policiesIn(shown?.compiled?.set);
  return {
    state: stateAnswer(status, figures),
    documents: (shown?.stored.documents ?? [])
      .toSorted((a, b) => (a.name < b.name ? -1 : 1))
      .map((document) => documentAnswer(document, policyOf(document), status)),
  };
}

export function documentAnswer(
  { audit, appliedMs, ...document }: StoredDocument,
  policy: Policy | undefined,
  { world }: RepositoryStatus,
): DocumentAnswer {
  return { ...documentOf(document, policy, world), audit, applied: iso(appliedMs) };
}

/** Finds the policies of documents, of which there may be thousands. */
export function policiesIn(
  set: PolicySet | undefined,
): (document: Pick<StoredDocument, "kind" | "name">) => Policy | undefined {
  const all = new Map(set?.policies.map((policy) => [`${policy.kind} ${policy.name}`, policy]));
  return ({ kind, name }) => all.get(`${kind} ${name}`);
}

/** What a document says and selects; nothing where it is no policy or its set cannot be read. */
export function documentOf(
  { kind, name }: Pick<StoredDocument, "kind" | "name">,
  policy: Policy | undefined,
  world: World,
): Omit<DocumentAnswer, "audit" | "applied"> {
  const selected = policy === undefined ? undefined : selectedBy(policy.specs, world);
  return {
    kind,
    name,
    description: policy?.specs.find(({ description }) => description !== undefined)?.description ?? null,
    selects:
      selected === undefined
        ? null
        : { ...selected, nodes: [...selected.nodes], workloads: [...selected.workloads] },
    sections: policy?.specs.flatMap(sectionsOf) ?? [],
  };
}

function sectionsOf({ ingress, egress }: PolicySpec): DocumentAnswer["sections"] {
  return (["ingress", "egress"] as const).flatMap((direction) => {
    const section = direction === "ingress" ? ingress : egress;
    if (section === undefined) return [];
    const { path, rules, defaultDeny } = section;
    return [{ path, direction, rules: rules.length, defaultDeny }];
  });
}

/** Those whose name is known, by address. */
export function admittedAnswer(
  addresses: readonly AdmittedAddress[],
  names: Pick<NameStore, "selectorOf">,
): AdmittedAnswer[] {
  return addresses
    .flatMap(({ address, peers }) =>
      peers.flatMap(({ peer, untilMs }): AdmittedAnswer[] => {
        const selector = names.selectorOf(peer);
        if (selector === undefined) return [];
        const { kind, text } = selector;
        return [{ kind, name: text, address: formatAddress(address), until: iso(untilMs) }];
      }),
    )
    .sort((a, b) => (a.name + a.address < b.name + b.address ? -1 : 1));
}

/** Whether a policy selects somebody by this name. */
export function selectsName(
  policy: Policy | undefined,
  selector: Pick<AdmittedAnswer, "kind" | "name">,
): boolean {
  const peers = policy?.specs.flatMap(
    ({ egress }) => egress?.rules.flatMap((rule) => rule.peers ?? []) ?? [],
  );
  return (
    peers?.some(
      (peer) =>
        (peer.kind === "name" && selector.kind === "name" && peer.name === selector.name) ||
        (peer.kind === "pattern" && selector.kind === "pattern" && peer.pattern === selector.name),
    ) ?? false
  );
}

/** Those whose rule is known; the most packets first. */
export function figuresAnswer(
  figures: EnforcementFigures | undefined,
  ruleOf: (id: number) => Pick<RuleContent, "policy" | "path"> | undefined,
): RuleFiguresAnswer[] {
  return (figures?.rules ?? [])
    .flatMap(({ id, decision, flows, packets, bytes }) => {
      const rule = ruleOf(id);
      return rule === undefined ? [] : [{ id, ...rule, decision, flows, packets, bytes }];
    })
    .sort((a, b) => b.packets - a.packets || a.id - b.id);
}
