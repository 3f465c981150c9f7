/**
 * The smallest permissions that needs take: one peer and one service each, and none that others make superfluous.
 * Nothing is allowed that was not recorded, but what a service's many peers or `widen` say.
 */
import { formatAddress } from "../../address.ts";
import { parseName } from "../language/dns-names.ts";
import { type PolicyProtocol, type Prefix, policyProtocols, type World } from "../model.ts";
import type { Need } from "./contract.ts";

export interface Widening {
  /** Length to which addresses of the world are widened, 32 for not at all. */
  readonly ipv4: number;
  /** Likewise, 128. */
  readonly ipv6: number;
}

export type Peer =
  | { readonly kind: "host" }
  | { readonly kind: "node"; readonly name: string }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "cidr"; readonly prefix: Prefix }
  | { readonly kind: "world"; readonly isIPv4: boolean };

export type Service =
  /** Protocols that rules cannot name: only a rule without ports allows them. */
  | { readonly kind: "any" }
  /** Undefined: packets whose ports nobody knows, which only every port allows. */
  | { readonly kind: "port"; readonly protocol: PolicyProtocol; readonly port: number | undefined };

export interface Permission {
  /** Name of a workload, empty for the node. */
  readonly subject: string;
  readonly isEgress: boolean;
  readonly peer: Peer;
  readonly service: Service;
  /** What it allows. */
  readonly needs: readonly Need[];
}

const DNS = 53;
const protocolOf = new Map<number, PolicyProtocol>(
  Object.entries(policyProtocols).map(([name, number]) => [number, name as PolicyProtocol]),
);

/** O(needs). The same needs, in any order, give the same permissions in the same order. */
export function permissionsOf(needs: readonly Need[], world: World, widening: Widening): Permission[] {
  const nodeOf = new Map<string, Peer>();
  // As everywhere, the first one that has an address is whose it is.
  for (const { name, addresses } of world.members.toReversed())
    for (const address of addresses) nodeOf.set(formatAddress(address), { kind: "node", name });
  for (const address of world.node.addresses) nodeOf.set(formatAddress(address), { kind: "host" });

  const all = new Map<string, Permission & { readonly needs: Need[] }>();
  for (const need of needs) {
    const [peer] = peersOf(need, nodeOf, widening);
    const [service] = servicesOf(need);
    if (peer === undefined || service === undefined) continue;
    const key = keyOf(need, peer, service);
    if (!all.has(key))
      all.set(key, { subject: need.subject, isEgress: need.isEgress, peer, service, needs: [] });
  }
  const coveredBy = new Map<Need, number>();
  for (const need of needs)
    for (const peer of peersOf(need, nodeOf, widening))
      for (const service of servicesOf(need)) {
        const permission = all.get(keyOf(need, peer, service));
        if (permission === undefined) continue;
        permission.needs.push(need);
        coveredBy.set(need, (coveredBy.get(need) ?? 0) + 1);
      }
  // The narrower goes first: what remains is needed by something that nothing else allows.
  const sorted = [...all].sort(
    ([a, one], [b, other]) => rankOf(one) - rankOf(other) || (a < b ? -1 : a > b ? 1 : 0),
  );
  return sorted.flatMap(([, permission]) => {
    if (permission.needs.some((need) => coveredBy.get(need) === 1)) return [permission];
    for (const need of permission.needs) coveredBy.set(need, (coveredBy.get(need) ?? 0) - 1);
    return [];
  });
}

/** Everybody who would let it pass, what is made for it first. */
function peersOf(
  { isEgress, address, isIPv4, name, port }: Need,
  nodeOf: ReadonlyMap<string, Peer>,
  widening: Widening,
): Peer[] {
  const node = address === null ? undefined : nodeOf.get(formatAddress(address));
  if (node !== undefined) return [node];
  const world: Peer = { kind: "world", isIPv4 };
  const named = isEgress && name !== null ? parseName(name) : undefined;
  const isNamed = named?.kind === "name" && named.name === name;
  const peers: Peer[] = isNamed ? [{ kind: "name", name }] : [];
  if (address !== null) {
    const bits = isIPv4 ? 96 + widening.ipv4 : widening.ipv6;
    peers.push({ kind: "cidr", prefix: prefixOf(address, bits) });
    // Who answers for names cannot be known by one: its address is what must be allowed.
    if (port === DNS) peers.reverse();
  }
  return [...peers, world];
}

function servicesOf({ protocol, port }: Need): Service[] {
  const known = protocolOf.get(protocol);
  if (known === undefined) return [{ kind: "any" }];
  const every: Service[] = [{ kind: "port", protocol: known, port: undefined }, { kind: "any" }];
  return port === null ? every : [{ kind: "port", protocol: known, port }, ...every];
}

export function prefixOf(address: Uint8Array, bits: number): Prefix {
  const bytes = address.map(
    (byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, bits - 8 * index))) & 0xff,
  );
  return { bytes, bits };
}

function keyOf({ subject, isEgress }: Need, peer: Peer, service: Service): string {
  return `${peerKey(peer)}\n${serviceKey(service)}\n${isEgress}\n${subject}`;
}

export function peerKey(peer: Peer): string {
  switch (peer.kind) {
    case "host":
      return "host";
    case "node":
    case "name":
      return `${peer.kind} ${peer.name}`;
    case "cidr":
      return `cidr ${Buffer.from(peer.prefix.bytes).toString("hex")}/${peer.prefix.bits}`;
    case "world":
      return `world ${peer.isIPv4}`;
  }
}

export function serviceKey(service: Service): string {
  return service.kind === "any" ? "any" : `${service.protocol} ${service.port ?? "every"}`;
}

const peerRanks = ["name", "cidr", "node", "host", "world"] as const;

function rankOf({ peer, service }: Permission): number {
  const width = service.kind === "any" ? 2 : service.port === undefined ? 1 : 0;
  return width * peerRanks.length + peerRanks.indexOf(peer.kind);
}
