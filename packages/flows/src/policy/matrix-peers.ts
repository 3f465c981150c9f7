/** Rows of the matrix: whoever rules can tell apart, with one address of each to ask about. */
import { formatAddress } from "../address.ts";
import { inPrefix } from "../filter.ts";
import { formatPrefix } from "./inspect.ts";
import { type NameSelector, nameMatches, nameOfPattern } from "./language/dns-names.ts";
import {
  type Attempt,
  NODE_ENDPOINT,
  type Node,
  type PolicyRule,
  type Prefix,
  type Workload,
  type World,
} from "./model.ts";
import type { KnownAddress } from "./names/known.ts";

export interface MatrixPeer {
  readonly kind: "host" | "workload" | "member" | "range" | "name" | "world";
  /** Of a range: as it is written; of a name: also a pattern. */
  readonly name: string;
  /** Where its addresses lie, less those of rows with a longer prefix; of a name those that it has given. */
  readonly prefixes: readonly string[];
}

/** A row, and one address of it to ask about. */
export interface PeerProbe {
  readonly told: MatrixPeer;
  readonly address: Uint8Array;
  readonly workload?: Attempt["peer"]["workload"];
  /** What the address is called. */
  readonly names: readonly string[];
}

const everyIPv4: Prefix = {
  bytes: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0),
  bits: 96,
};
const everything: Prefix = { bytes: new Uint8Array(16), bits: 0 };

/** Addresses of a name that have a row or a part of one. */
const MOST_OF_NAME = 16;

interface Asked {
  readonly endpoint: number;
  /** Of management. */
  readonly sources: readonly Prefix[];
  readonly known: readonly KnownAddress[];
}

/**
 * Nodes and workloads, then ranges and names that rules speak of, then the rest of the world.
 * @param most rows; the world's are always among them. O(members + most × ranges + names × known addresses).
 */
export function matrixPeers(
  rules: readonly PolicyRule[],
  world: World,
  { endpoint, sources, known }: Asked,
  most: number,
): { readonly shown: PeerProbe[]; readonly leftOut: number } {
  const selectors = rules.flatMap(({ peers }) => peers ?? []);
  const written = selectors.flatMap((peer) => (peer.kind === "cidr" ? [peer.prefix, ...peer.except] : []));
  const isWhole = (prefix: Prefix): boolean => [everything, everyIPv4].some((whole) => isSame(whole, prefix));
  const ranges = distinct([...written, ...sources]).filter((prefix) => !isWhole(prefix));
  const taken = new Set<string>();
  // An address of several is the first one's.
  const ownOf = <T extends Pick<Node, "name" | "addresses">>(one: T): T => {
    const addresses = one.addresses.filter((address) => !taken.has(formatAddress(address)));
    for (const address of addresses) taken.add(formatAddress(address));
    return { ...one, addresses };
  };
  const self = ownOf(world.node);
  const members = world.members.map(ownOf);
  const workloads = world.workloads.map((workload) =>
    workload.addresses === undefined ? workload : ownOf({ ...workload, addresses: workload.addresses }),
  );
  const isNode = (address: Uint8Array): boolean => taken.has(formatAddress(address));
  const named = new Map(known.map((one) => [formatAddress(one.address), one.names]));
  const isTaken = (address: Uint8Array): boolean => isNode(address) || named.has(formatAddress(address));
  /** Of a range of known addresses alone, one of them. */
  const free = (prefix: Prefix, others: readonly Prefix[]): Uint8Array | undefined =>
    addressIn(prefix, others, isTaken) ?? addressIn(prefix, others, isNode);
  const withNames = (row: PeerProbe): PeerProbe => ({
    ...row,
    names: named.get(formatAddress(row.address)) ?? [],
  });
  const restIPv4 = free(everyIPv4, ranges);
  const restIPv6 = free(everything, [...ranges, everyIPv4]);
  const names = new Map(
    selectors.flatMap((peer): [string, NameSelector][] => {
      if (peer.kind === "name") return [[peer.name, peer]];
      return peer.kind === "pattern" ? [[peer.pattern, peer]] : [];
    }),
  );
  /** An address that is not known yet, then those that are. */
  const nameRows = (told: string, selector: NameSelector): PeerProbe[] => {
    const given = known
      .filter((one) => !isNode(one.address) && one.names.some((name) => nameMatches(selector, name)))
      .slice(0, MOST_OF_NAME)
      .map(({ address }) => withNames(probe("name", told, address, [single(address)])));
    const name = selector.kind === "name" ? selector.name : nameOfPattern(selector.pattern);
    return restIPv4 === undefined
      ? given
      : [{ ...probe("name", told, restIPv4, []), names: [name] }, ...given];
  };
  const worlds = [
    ...(restIPv4 === undefined ? [] : [probe("world", "world, IPv4", restIPv4, [formatPrefix(everyIPv4)])]),
    ...(restIPv6 === undefined ? [] : [probe("world", "world, IPv6", restIPv6, [formatPrefix(everything)])]),
  ];
  const nodes = [
    ...(endpoint === NODE_ENDPOINT ? [] : nodeRows("host", self, sources)),
    ...workloads
      .filter((workload) => workload.endpoint !== endpoint)
      .flatMap((workload) => workloadRows(workload, self, endpoint, sources)),
    ...members.flatMap((member) => nodeRows("member", member, sources)),
  ];
  const room = most - worlds.length;
  const others = [
    ...nodes.slice(0, room),
    ...ranges.slice(0, Math.max(0, room - nodes.length)).flatMap((range) => {
      const address = free(range, ranges);
      const told = formatPrefix(range);
      return address === undefined ? [] : [withNames(probe("range", told, address, [told]))];
    }),
    ...[...names].flatMap(([told, selector]) => nameRows(told, selector)),
  ].slice(0, Math.max(0, room));
  const all = nodes.length + ranges.length + names.size;
  return { shown: [...others, ...worlds], leftOut: all > room ? all - others.length : 0 };
}

/** Its addresses are one as far as labels decide; sources of management tell them apart. */
function nodeRows(
  kind: "host" | "member" | "workload",
  { name, addresses }: Pick<Node, "name" | "addresses">,
  sources: readonly Prefix[],
): PeerProbe[] {
  const [first] = addresses;
  if (first === undefined) return [];
  if (sources.length === 0 || addresses.length === 1)
    return [probe(kind, name, first, addresses.map(single))];
  return addresses.map((address) =>
    probe(kind, `${name} ${formatAddress(address)}`, address, [single(address)]),
  );
}

/** One in this host's network has its addresses, and only another workload tells it from the host. */
function workloadRows(
  { name, endpoint: number, addresses }: Workload,
  { addresses: [address = everyIPv4.bytes] }: Node,
  endpoint: number,
  sources: readonly Prefix[],
): PeerProbe[] {
  if (addresses !== undefined) return nodeRows("workload", { name, addresses }, sources);
  return endpoint === NODE_ENDPOINT ? [] : [{ ...probe("workload", name, address, []), workload: number }];
}

function probe(
  kind: MatrixPeer["kind"],
  name: string,
  address: Uint8Array,
  prefixes: readonly string[],
): PeerProbe {
  return { told: { kind, name, prefixes }, address, names: [] };
}

/**
 * An address of a prefix that none of the longer prefixes in it holds. It lies at an end of the prefix or just behind
 * one of the others; undefined where they leave none, or where nodes have all that was tried.
 */
function addressIn(
  prefix: Prefix,
  others: readonly Prefix[],
  isTaken: (address: Uint8Array) => boolean,
): Uint8Array | undefined {
  const inner = others.filter((other) => other.bits > prefix.bits && holds(prefix, other.bytes));
  const behind = inner.map((other) => numberOf(other.bytes) + (1n << BigInt(128 - other.bits)));
  const first = numberOf(prefix.bytes);
  const last = first + (1n << BigInt(128 - prefix.bits)) - 1n;
  const isFree = (address: Uint8Array): boolean =>
    holds(prefix, address) && !inner.some((other) => holds(other, address)) && !isTaken(address);
  return [first, last, ...behind, first + 1n, last - 1n]
    .filter((at) => at >= first && at <= last)
    .map(addressOf)
    .find(isFree);
}

function holds({ bytes, bits }: Prefix, address: Uint8Array): boolean {
  return inPrefix(address, { bytes, prefixBits: bits });
}

function distinct(prefixes: readonly Prefix[]): Prefix[] {
  return [...new Map(prefixes.map((prefix) => [formatPrefix(prefix), prefix])).values()].sort(
    (a, b) => Buffer.compare(a.bytes, b.bytes) || a.bits - b.bits,
  );
}

function isSame(a: Prefix, b: Prefix): boolean {
  return a.bits === b.bits && Buffer.compare(a.bytes, b.bytes) === 0;
}

function single(bytes: Uint8Array): string {
  return formatPrefix({ bytes, bits: 128 });
}

function numberOf(bytes: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(bytes).toString("hex")}`);
}

function addressOf(value: bigint): Uint8Array {
  return Buffer.from(value.toString(16).padStart(32, "0"), "hex");
}
