/** Permissions put together to the rules of policies: services with the same peers become one rule. */
import { type Labels, type PolicyProtocol, type Prefix, policyProtocols, type World } from "../model.ts";
import type { Need } from "./contract.ts";
import { mergePrefixes } from "./merge-prefixes.ts";
import { type Peer, type Permission, peerKey, type Service, serviceKey } from "./permissions.ts";

/** As the language has them: of one kind in a rule. */
export type RulePeers =
  | { readonly kind: "entities"; readonly entities: readonly string[] }
  | { readonly kind: "nodes"; readonly label: readonly [key: string, values: readonly string[]] }
  | { readonly kind: "names"; readonly names: readonly string[] }
  | { readonly kind: "cidrs"; readonly prefixes: readonly Prefix[] };

export interface PortRange {
  readonly protocol: PolicyProtocol;
  readonly first: number;
  /** 65,535 from 0 on: every port. */
  readonly last: number;
}

export interface SuggestedRule {
  readonly peers: RulePeers;
  /** Of ICMP alone, or of others alone; undefined: everything. */
  readonly ports: readonly PortRange[] | undefined;
  /** Recorded ones that it allows. */
  readonly flows: number;
  readonly lastMs: number;
  /** Why it is there, where no flow says it. */
  readonly note?: string;
}

export interface SuggestedSection {
  readonly isEgress: boolean;
  /** The most used first. */
  readonly rules: readonly SuggestedRule[];
}

/** Rules of one subject, by direction. */
export function sectionsOf(permissions: readonly Permission[], world: World): SuggestedSection[] {
  return [false, true].map((isEgress) => ({
    isEgress,
    rules: rulesOf(
      permissions.filter((permission) => permission.isEgress === isEgress),
      world,
    ),
  }));
}

type Family = "any" | "icmp" | "ports";

interface Gathered {
  readonly family: Family;
  readonly peers: Peer[];
  readonly services: Service[];
  readonly needs: Set<Need>;
}

function rulesOf(permissions: readonly Permission[], world: World): SuggestedRule[] {
  /** One service, peers of one kind. */
  const byService = new Map<string, Gathered>();
  for (const { peer, service, needs } of permissions) {
    const family = familyOf(service);
    const kind = peer.kind === "host" || peer.kind === "world" ? "entities" : peer.kind;
    const key = `${kind}\n${serviceKey(service)}`;
    const known = byService.get(key) ?? { family, peers: [], services: [service], needs: new Set() };
    byService.set(key, known);
    known.peers.push(peer);
    for (const need of needs) known.needs.add(need);
  }
  const byPeers = new Map<string, Gathered>();
  for (const one of byService.values()) {
    const key = `${one.family}\n${one.peers.map(peerKey).sort().join("\n")}`;
    const known = byPeers.get(key);
    if (known === undefined) byPeers.set(key, one);
    else {
      known.services.push(...one.services);
      for (const need of one.needs) known.needs.add(need);
    }
  }
  return [...byPeers]
    .map(([key, { family, peers, services, needs }]) => {
      const all = [...needs];
      const rule: SuggestedRule = {
        peers: peersOf(peers, world),
        ports: family === "any" ? undefined : rangesOf(services),
        flows: all.reduce((sum, { flows }) => sum + flows, 0),
        lastMs: all.reduce((latest, { lastMs }) => Math.max(latest, lastMs), 0),
      };
      return { key: `${key}\n${services.map(serviceKey).sort().join("\n")}`, rule };
    })
    .sort((a, b) => b.rule.flows - a.rule.flows || (a.key < b.key ? -1 : 1))
    .map(({ rule }) => rule);
}

function familyOf(service: Service): Family {
  if (service.kind === "any") return "any";
  return service.protocol === "icmp" || service.protocol === "icmpv6" ? "icmp" : "ports";
}

function peersOf(peers: readonly Peer[], world: World): RulePeers {
  const [first] = peers;
  switch (first?.kind) {
    case "name":
      return {
        kind: "names",
        names: peers.flatMap((peer) => (peer.kind === "name" ? peer.name : [])).sort(),
      };
    case "cidr":
      return {
        kind: "cidrs",
        prefixes: mergePrefixes(peers.flatMap((peer) => (peer.kind === "cidr" ? peer.prefix : []))),
      };
    case "node":
      return {
        kind: "nodes",
        label: labelOf(
          peers.flatMap((peer) => (peer.kind === "node" ? peer.name : [])),
          world,
        ),
      };
    default:
      return { kind: "entities", entities: entitiesOf(peers) };
  }
}

function entitiesOf(peers: readonly Peer[]): string[] {
  const families = peers.flatMap((peer) => (peer.kind === "world" ? peer.isIPv4 : []));
  const world = families.length === 2 ? ["world"] : families.map((isIPv4) => `world-ipv${isIPv4 ? 4 : 6}`);
  return [...(peers.some(({ kind }) => kind === "host") ? ["host"] : []), ...world];
}

const hostname = "kubernetes.io/hostname";
const ofEach = ["name", hostname, "reserved:remote-node"];

/** A label that these members have and no other one; else their names. */
function labelOf(names: readonly string[], { node, members }: World): [string, readonly string[]] {
  const wanted = new Set(names);
  const here = members.filter(({ name }) => wanted.has(name));
  const [first] = here;
  const has = (labels: Labels, key: string, value: string): boolean =>
    Object.hasOwn(labels, key) && labels[key] === value;
  const shared = Object.entries(first?.labels ?? {})
    .filter(
      ([key, value]) =>
        !ofEach.includes(key) &&
        value !== "" &&
        !has(node.labels, key, value) &&
        members.every(({ name, labels }) => has(labels, key, value) === wanted.has(name)),
    )
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const [label] = shared;
  return label === undefined ? [hostname, [...wanted].sort()] : [label[0], [label[1]]];
}

/** Ports beside each other become a range. */
function rangesOf(services: readonly Service[]): PortRange[] {
  const each = services
    .flatMap((service): PortRange[] => {
      if (service.kind === "any") return [];
      const { protocol, port } = service;
      return [{ protocol, first: port ?? 0, last: port ?? 65_535 }];
    })
    .sort((a, b) => policyProtocols[a.protocol] - policyProtocols[b.protocol] || a.first - b.first);
  const ranges: PortRange[] = [];
  for (const range of each) {
    const before = ranges.at(-1);
    if (before?.protocol === range.protocol && before.last + 1 === range.first && hasRanges(range))
      ranges[ranges.length - 1] = { ...before, last: range.last };
    else ranges.push(range);
  }
  return ranges;
}

/** Types of ICMP are written one by one. */
function hasRanges({ protocol }: PortRange): boolean {
  return protocol !== "icmp" && protocol !== "icmpv6";
}
