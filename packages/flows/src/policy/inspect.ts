/** What is valid but probably not intended: selectors of nobody, prefixes of members, names nobody can learn. */
import { formatAddress } from "../address.ts";
import { inPrefix } from "../filter.ts";
import { evaluate, selectsEndpoint } from "./evaluate.ts";
import {
  NODE_ENDPOINT,
  type PeerSelector,
  type PolicyRule,
  type PolicySet,
  type PolicySpec,
  type Prefix,
  policyProtocols,
  type World,
} from "./model.ts";
import { selectedBy } from "./selected.ts";
import { selectsLabels } from "./selects.ts";

const DNS = 53;
const DNS_OVER_TLS = 853;
/** Names in a warning; the rest is a number. */
const MOST_NAMED = 3;

export interface Remark {
  readonly policy: string;
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

/** @param resolvers whose answers teach addresses of names. O(rules × members). */
export function inspect(set: PolicySet, world: World, resolvers: readonly Uint8Array[]): Remark[] {
  return set.policies.flatMap((policy) =>
    policy.specs.flatMap((spec) => {
      const rules = [...(spec.ingress?.rules ?? []), ...(spec.egress?.rules ?? [])];
      return [
        ...ofSubject(spec, world),
        ...rules.flatMap((rule) => ofRule(rule, world)),
        ...ofNames(spec, set, world, resolvers),
      ].map((remark) => ({ policy: policy.name, ...remark }));
    }),
  );
}

type Found = Omit<Remark, "policy">;

function ofSubject(spec: PolicySpec, world: World): Found[] {
  const { nodes, workloads } = selectedBy([spec], world);
  if (nodes.length > 0 || workloads.length > 0) return [];
  const isNode = spec.subject.kind === "node";
  return [
    {
      path: `${spec.path}.${isNode ? "nodeSelector" : "endpointSelector"}`,
      message: isNode ? "selects no node" : "selects no node, and no workload that runs here",
      hint: "this node has policy.node_labels, others are in policy.members",
    },
  ];
}

function ofRule({ path, peers = [] }: PolicyRule, world: World): Found[] {
  return peers.flatMap((peer): Found[] => {
    if (peer.kind === "endpoints" || peer.kind === "nodes")
      return selectsSomebody(peer, world)
        ? []
        : [{ path, message: `a selector of ${peer.kind} selects nobody that is known here` }];
    if (peer.kind === "cidr") return covered(peer, path, world);
    return [];
  });
}

function selectsSomebody(
  peer: Extract<PeerSelector, { kind: "endpoints" | "nodes" }>,
  world: World,
): boolean {
  const { node, members, workloads } = world;
  const own = peer.kind === "endpoints" ? [node, ...workloads] : [];
  return [...own, ...members].some(({ labels }) => selectsLabels(peer.labels, labels));
}

function covered(
  peer: Extract<PeerSelector, { kind: "cidr" }>,
  path: string,
  { node, members, workloads }: World,
): Found[] {
  const prefixes = [peer.prefix, ...peer.except];
  const [isIn, ...isOut] = prefixes.map(
    ({ bytes, bits }) =>
      (address: Uint8Array): boolean =>
        inPrefix(address, { bytes, prefixBits: bits }),
  );
  const holds = (address: Uint8Array): boolean =>
    isIn?.(address) === true && !isOut.some((excepted) => excepted(address));
  const all = [node, ...members, ...workloads].filter(({ addresses }) => addresses?.some(holds));
  // Everything that there is covers members too; nobody means them by it.
  if (all.length === 0 || peer.prefix.bits === 0 || peer.prefix.bits === 96) return [];
  const names = all.slice(0, MOST_NAMED).map(({ name }) => name);
  const more = all.length > names.length ? ` and ${all.length - names.length} more` : "";
  return [
    {
      path,
      message: `${formatPrefix(peer.prefix)} covers ${names.join(", ")}${more}, whom no prefix selects: nodes are selected by labels`,
      hint: "add endpoints or entities: host, remote-node",
    },
  ];
}

/** As it is written: 10.0.0.0/8, 2001:db8::/32. */
export function formatPrefix({ bytes, bits }: Prefix): string {
  const address = formatAddress(bytes);
  return `${address}/${bits >= 96 && address.includes(".") ? bits - 96 : bits}`;
}

/** Names are learned from answers on port 53 alone. */
function ofNames(spec: PolicySpec, set: PolicySet, world: World, resolvers: readonly Uint8Array[]): Found[] {
  const naming = spec.egress?.rules.find(({ peers = [] }) =>
    peers.some(({ kind }) => kind === "name" || kind === "pattern"),
  );
  if (naming === undefined) return [];
  const { path } = naming;
  const found: Found[] = [
    {
      path,
      message:
        "addresses of names are learned from answers on port 53; those over TLS or HTTPS cannot be seen",
      hint: "programs with a resolver of their own (browsers) must use the system's",
    },
  ];
  if (!selectsEndpoint(spec, world, NODE_ENDPOINT)) return found;
  const isDenied = (address: Uint8Array, protocol: number, port: number): boolean =>
    evaluate(set, world, {
      endpoint: NODE_ENDPOINT,
      direction: "egress",
      peer: { address },
      protocol,
      port,
    }).decision === "deny";
  const asked = resolvers.filter((address) => !isLoopback(address));
  const { udp, tcp } = policyProtocols;
  if (resolvers.length === 0)
    found.push({
      path,
      message: "no resolver is known, so no name is learned",
      hint: "set policy.resolvers",
    });
  else if (asked.length > 0 && asked.every((address) => isDenied(address, udp, DNS)))
    found.push({
      path,
      message: `nothing allows this node to ask its resolvers (${asked.map(formatAddress).join(", ")})`,
      hint: "allow UDP 53 to them",
    });
  const overTls = asked.filter((address) => !isDenied(address, tcp, DNS_OVER_TLS));
  if (overTls.length > 0)
    found.push({
      path,
      message: `${overTls.map(formatAddress).join(", ")} may be asked over TLS (port 853), where no name is learned`,
      hint: "deny TCP 853 to it",
    });
  return found;
}

function isLoopback(address: Uint8Array): boolean {
  const text = formatAddress(address);
  return text === "::1" || text.startsWith("127.");
}
