/**
 * Policies that allow what was recorded, and nothing else: one document for this node, one for each workload with
 * flows of its own. Both are asked of a workload's traffic, so the node's has all of it.
 */
import { createHash } from "node:crypto";
import { formatAddress } from "../../address.ts";
import { protocolName } from "../../protocols.ts";
import { type Labels, policyProtocols, type World } from "../model.ts";
import { type Owner, workloadName } from "../workloads/name.ts";
import type { LeftOut, Needs } from "./contract.ts";
import { type Permission, permissionsOf, type Widening } from "./permissions.ts";
import { type RulePeers, type SuggestedSection, sectionsOf } from "./rules.ts";
import { givenLabels, selectorOf } from "./workloads.ts";
import { policiesYaml, type SuggestedDocument } from "./yaml.ts";

const DNS = 53;

export interface SuggestOptions {
  readonly widening: Widening;
  /** Whose answers teach the addresses of names. */
  readonly resolvers: readonly Uint8Array[];
  /** Labels of a workload that was recorded. */
  readonly labelsOf: (owner: Owner) => Labels;
}

/** Workloads that one document is for. */
interface Group {
  /** Names of theirs. */
  readonly label: string;
  readonly selector: Labels;
}

export interface Suggestion {
  readonly yaml: string;
  readonly documents: readonly SuggestedDocument[];
}

/** The same needs, in any order, give the same text. */
export function suggest(needs: Needs, world: World, options: SuggestOptions): Suggestion {
  const groups = groupsOf(needs, world, options.labelsOf);
  const grouped = needs.needs.map((need) => ({ ...need, subject: groups.get(need.subject)?.label ?? "" }));
  const permissions = permissionsOf(grouped, world, options.widening);
  const bySubject = Map.groupBy(permissions, ({ subject }) => subject);
  const selectors = new Map([...groups.values()].map(({ label, selector }) => [label, selector]));
  const sectionsFor = (of: readonly Permission[]): SuggestedSection[] =>
    sectionsOf(of, world).map((section) => withResolvers(section, world, options.resolvers));
  const documents: SuggestedDocument[] = [];
  for (const subject of [...bySubject.keys()].sort()) {
    const sections = sectionsFor(bySubject.get(subject) ?? []);
    if (subject === "") {
      const { name } = world.node;
      documents.push({
        name: nameOf("node", name),
        subject: { kind: "node", labels: { "kubernetes.io/hostname": name } },
        about: `What ${name} was asked and asked for`,
        sections,
      });
    } else
      documents.push({
        name: nameOf("workload", subject),
        subject: { kind: "endpoint", labels: selectors.get(subject) ?? {} },
        about: `What ${subject} was asked and asked for`,
        sections,
      });
  }
  return { yaml: policiesYaml(head(needs), documents), documents };
}

/**
 * By labels of the configuration where all workloads that these select have them, and no others: those stay when a
 * container is made anew. Else each workload by what it is called.
 */
function groupsOf(
  { subjects, others }: Needs,
  { node, members, workloads }: World,
  labelsOf: SuggestOptions["labelsOf"],
): Map<string, Group> {
  const own = new Map(subjects.map((owner) => [workloadName(owner), labelsOf(owner)]));
  const elsewhere = [
    ...[node, ...members].map(({ labels }) => labels),
    ...others.map(labelsOf),
    ...workloads.filter(({ name }) => !own.has(name)).map(({ labels }) => labels),
  ];
  const has = (labels: Labels, wanted: Labels): boolean =>
    Object.entries(wanted).every(([key, value]) => Object.hasOwn(labels, key) && labels[key] === value);
  return new Map(
    subjects.map((owner): [string, Group] => {
      const name = workloadName(owner);
      const given = givenLabels(own.get(name) ?? {});
      const entries = Object.entries(given).sort(([a], [b]) => (a < b ? -1 : 1));
      const selected = [...own.values()].filter((labels) => has(labels, given));
      const isTheirs =
        entries.length > 0 &&
        !elsewhere.some((labels) => has(labels, given)) &&
        selected.every((labels) => Object.keys(givenLabels(labels)).length === entries.length);
      if (!isTheirs) return [name, { label: name, selector: selectorOf(owner) }];
      const label = entries.map(([key, value]) => `${key}=${value}`).join(",");
      return [name, { label, selector: Object.fromEntries(entries) }];
    }),
  );
}

/** Names hold nothing that an object's name may not have, and those of two workloads differ. */
function nameOf(kind: "node" | "workload", text: string): string {
  const plain = text
    .toLowerCase()
    .replace(/[^-a-z0-9.]+/g, "-")
    .replace(/(^|\.)[-.]+|[-.]+(\.|$)/g, "$1$2")
    .slice(0, 200)
    .replace(/[-.]+$/, "");
  const suffix = plain === text ? "" : `-${createHash("sha256").update(text).digest("hex").slice(0, 8)}`;
  return `suggested-${kind}-${plain}${suffix}`;
}

/** Names are learned from answers of DNS: where none was recorded, the resolvers must be reachable all the same. */
function withResolvers(
  section: SuggestedSection,
  world: World,
  resolvers: readonly Uint8Array[],
): SuggestedSection {
  const { rules } = section;
  const hasNames = rules.some(({ peers }) => peers.kind === "names");
  const asksResolvers = rules.some(
    ({ ports }) =>
      ports === undefined ||
      ports.some(({ protocol, first, last }) => protocol === "udp" && first <= DNS && last >= DNS),
  );
  if (!hasNames || asksResolvers) return section;
  const asked = resolvers.map(formatAddress).filter((ip) => ip !== "::1" && !ip.startsWith("127."));
  if (asked.length === 0) return section;
  const member = (ip: string): string | undefined =>
    world.members.find(({ addresses }) => addresses.some((own) => formatAddress(own) === ip))?.name;
  const members = [...new Set(asked.flatMap((ip) => member(ip) ?? []))].sort();
  const others = resolvers.filter((address) => {
    const ip = formatAddress(address);
    return asked.includes(ip) && member(ip) === undefined;
  });
  const peers: RulePeers[] = [
    ...(members.length === 0
      ? []
      : [{ kind: "nodes" as const, label: ["kubernetes.io/hostname", members] as const }]),
    ...(others.length === 0
      ? []
      : [{ kind: "cidrs" as const, prefixes: others.map((bytes) => ({ bytes, bits: 128 })) }]),
  ];
  const ports = (["tcp", "udp"] as const).map((protocol) => ({ protocol, first: DNS, last: DNS }));
  const note = "the names above are learned from answers of these";
  return {
    ...section,
    rules: [...rules, ...peers.map((each) => ({ peers: each, ports, flows: 0, lastMs: 0, note }))],
  };
}

function head({ covers, flows, attempts, leftOut, beyond, unasked }: Needs): string[] {
  const { from, to, lostPackets, gaps = [] } = covers;
  const others = unasked.forwarded + unasked.otherNamespaces;
  return [
    `Allows the ${flows} flows that were recorded from ${from} to ${to}; everything else is denied.`,
    ...(lostPackets > 0 ? [`${lostPackets} packets of that time were lost.`] : []),
    ...gaps.map((gap) => `Not recorded from ${gap.from} to ${gap.to}: ${gap.reason}`),
    ...(attempts === 0
      ? []
      : [
          `Left out are ${attempts} flows that came to nothing (scans, refused, one packet without an answer):`,
          ...leftOut.map((one) => `  ${leftOutText(one)}`),
        ]),
    ...(beyond === 0
      ? []
      : [`Not allowed are ${beyond} more flows: they differ more than can be told apart in bounded memory.`]),
    ...(others === 0
      ? []
      : [
          `Policies are not asked of the ${others} flows that were forwarded, or of other network namespaces.`,
        ]),
  ];
}

function leftOutText({ flows, direction, process, protocol, port }: LeftOut): string {
  const isIcmp = protocol === policyProtocols.icmp || protocol === policyProtocols.icmpv6;
  const service = `${protocolName(protocol)}${port === null ? "" : ` ${isIcmp ? "type" : "port"} ${port}`}`;
  const by = process === null ? "" : ` of ${process}`;
  return `${flows} × ${direction}${by}, ${service}`;
}
