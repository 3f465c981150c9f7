/**
 * The partition of all addresses: each has one peer number, and those share one that the same rules select. The
 * longest prefix wins, so a prefix stands in the table only where other rules select it than what is around it.
 *
 * Prefixes that nest would repeat the rules of the wide one at each narrow one: 100 rules for the world and 10,000 for
 * networks of it are a million entries. Where that costs much, the wide rules become a number of their own, `wider`,
 * that the narrow ones name beside theirs; the widest that pays is chosen on the way down (greedy, one level).
 */
import { inPrefix } from "../../filter.ts";
import type { PeerSelector, Prefix } from "../model.ts";
import { ANY_PEER, type PeerEntry, type Tables } from "../tables.ts";
import type { Cells } from "./cells.ts";
import type { Identities } from "./identities.ts";
import { comparePrefixes, covers, parentsOf } from "./prefix-tree.ts";

export interface PeerRule {
  readonly peers: readonly PeerSelector[];
  /** Entries that it takes at one peer, about. */
  readonly weight: number;
}

export interface PartitionOptions {
  readonly rules: readonly PeerRule[];
  readonly identities: Identities;
  /** Selects by address alone, nodes too. */
  readonly sources: { readonly rule: number; readonly prefixes: readonly Prefix[] } | undefined;
  readonly cells: Cells;
  /** Whether each address of a node stands in the table, as one. */
  readonly marksNodes: boolean;
  /** Entries that `wider` must save. */
  readonly minSaving: number;
}

interface Selector {
  readonly rule: number;
  /** How many exceptions of its the point at hand lies in. */
  excepted: number;
}

/** A prefix where the rules that select change. */
interface Point extends Prefix {
  readonly begin: Selector[];
  readonly except: Selector[];
  /** Of an address of a node: what selects it. */
  identity: readonly number[] | undefined;
}

/** What selects at a point: the rules of `base` without `removed`, and `added`; ascending. */
interface Selected {
  readonly base: number;
  readonly added: readonly number[];
  readonly removed: readonly number[];
  readonly peer: number;
  readonly wider: number;
}

const everywhere: Prefix = { bytes: new Uint8Array(16), bits: 0 };
const mapped = new Uint8Array(16).fill(0xff, 10, 12);
const everyIPv4: Prefix = { bytes: mapped, bits: 96 };
const nothing: Selected = { base: ANY_PEER, added: [], removed: [], peer: ANY_PEER, wider: ANY_PEER };

/** O(prefixes × log prefixes + pairs of a rule and a peer). @throws X0_FLOWS_POLICY_TOO_LARGE */
export function partitionPeers(options: PartitionOptions): Pick<Tables, "peers" | "workloads"> {
  const { rules, identities, cells, marksNodes, minSaving, sources } = options;
  const points = placePoints(options);
  const parents = parentsOf(points);
  const kinds = kindsBelow(points, parents);
  const [, ...others] = identities.nodes;
  const nodePeer = identityPeers(options, others);
  const workloadPeer = identityPeers(options, identities.workloads);
  const active = new Uint32Array(rules.length);
  const weightOf = (selected: readonly number[]): number =>
    selected.reduce((sum, rule) => sum + (rules[rule] as PeerRule).weight, 0);

  const change = (parent: Selected, point: Point, kindsInside: number): Selected => {
    const touched = [...new Set([...point.begin, ...point.except].map(({ rule }) => rule))];
    const before = touched.map((rule) => active[rule] !== 0);
    enter(point, active);
    const toggled = touched.filter((rule, index) => (active[rule] !== 0) !== before[index]);
    if (toggled.length === 0) return parent;
    const on = toggled.filter((rule) => active[rule] !== 0);
    const off = toggled.filter((rule) => active[rule] === 0);
    const added = combine(without(parent.added, off), without(on, parent.removed));
    const removed = combine(without(parent.removed, on), without(off, parent.added));
    const all = (): number[] => combine(without(cells.rulesOf(parent.base), removed), added);
    const carried = removed.length > 0 ? all() : added;
    if (weightOf(carried) * kindsInside >= minSaving) {
      const full = all();
      if (weightOf(carried) * kindsInside - weightOf(full) >= minSaving) {
        const base = cells.numberOf(full);
        return { base, added: [], removed: [], peer: base, wider: ANY_PEER };
      }
    }
    const own = cells.numberOf(carried);
    const wider = removed.length > 0 ? ANY_PEER : parent.base;
    const pair = own === ANY_PEER ? { peer: wider, wider: ANY_PEER } : { peer: own, wider };
    return { base: parent.base, added, removed, ...pair };
  };

  const entries: PeerEntry[] = [];
  const path: { readonly index: number; readonly selected: Selected }[] = [];
  for (const [index, point] of points.entries()) {
    for (let top = path.at(-1); top !== undefined && top.index !== parents[index]; top = path.at(-1)) {
      leave(points[top.index] as Point, active);
      path.pop();
    }
    const around = path.at(-1)?.selected ?? nothing;
    let selected: Selected;
    if (point.identity === undefined) selected = change(around, point, kinds[index] as number);
    else {
      enter(point, active);
      const isSource = sources !== undefined && active[sources.rule] !== 0;
      const selecting = isSource ? combine(point.identity, [sources.rule]) : point.identity;
      selected = { ...nothing, ...nodePeer(selecting) };
    }
    const isNode = marksNodes && point.identity !== undefined;
    const { peer, wider } = selected;
    if (isNode || peer !== around.peer || wider !== around.wider)
      entries.push({ address: point.bytes, bits: point.bits, peer, wider, isNode });
    path.push({ index, selected });
  }
  const workloads = identities.workloads.map(({ endpoint, rules: selecting }) => ({
    endpoint,
    ...workloadPeer(selecting),
  }));
  return { peers: entries, workloads };
}

function placePoints({ rules, identities, sources }: PartitionOptions): Point[] {
  const points = new Map<string, Point>();
  const at = ({ bytes, bits }: Prefix): Point => {
    const key = `${Buffer.from(bytes.buffer, bytes.byteOffset, 16).toString("latin1")}${bits}`;
    let point = points.get(key);
    if (point === undefined) {
      point = { bytes, bits, begin: [], except: [], identity: undefined };
      points.set(key, point);
    }
    return point;
  };
  const select = (rule: number, prefix: Prefix, except: readonly Prefix[]): void => {
    if (except.some((excepted) => selectsAll(excepted, prefix))) return;
    const selector: Selector = { rule, excepted: 0 };
    at(prefix).begin.push(selector);
    for (const excepted of except) if (covers(prefix, excepted)) at(excepted).except.push(selector);
  };
  /** A prefix that is written as IPv6 selects no IPv4. */
  const selectPrefix = (rule: number, prefix: Prefix, except: readonly Prefix[]): void => {
    const isAroundIPv4 = prefix.bits < everyIPv4.bits && covers(prefix, everyIPv4);
    select(rule, prefix, isAroundIPv4 ? [...except, everyIPv4] : except);
  };
  for (const [rule, { peers }] of rules.entries()) {
    for (const selector of peers) {
      if (selector.kind === "cidr") selectPrefix(rule, selector.prefix, selector.except);
      if (selector.kind !== "entity") continue;
      if (selector.entity === "world") select(rule, everywhere, []);
      if (selector.entity === "world-ipv4") select(rule, everyIPv4, []);
      if (selector.entity === "world-ipv6") select(rule, everywhere, [everyIPv4]);
    }
  }
  if (sources !== undefined) {
    for (const prefix of sources.prefixes) selectPrefix(sources.rule, prefix, []);
  }
  for (const { addresses, rules: selecting } of identities.nodes) {
    for (const bytes of addresses) at({ bytes, bits: 128 }).identity ??= selecting;
  }
  return [...points.values()].sort(comparePrefixes);
}

/** Whether `outer` selects each address of `inner`. */
function selectsAll(outer: Prefix, inner: Prefix): boolean {
  return outer.bits <= inner.bits && inPrefix(inner.bytes, { bytes: outer.bytes, prefixBits: outer.bits });
}

/** How many different kinds of change lie in each point. */
function kindsBelow(points: readonly Point[], parents: Int32Array): Uint32Array {
  const kinds = new Uint32Array(points.length);
  const seen = new Set<string>();
  for (let index = points.length - 1; index >= 0; index--) {
    const parent = parents[index] as number;
    const { begin, except, identity } = points[index] as Point;
    if (parent < 0 || identity !== undefined) continue;
    const kind = [begin, except].map((selectors) => selectors.map(({ rule }) => rule).join()).join("|");
    kinds[parent] = (kinds[parent] as number) + (kinds[index] as number) + (seen.has(kind) ? 0 : 1);
    seen.add(kind);
  }
  return kinds;
}

/** What all of some nodes or workloads have in common may be a number of its own too. */
function identityPeers(
  { rules, cells, minSaving }: PartitionOptions,
  identities: readonly { readonly rules: readonly number[] }[],
): (selecting: readonly number[]) => Pick<PeerEntry, "peer" | "wider"> {
  const different = new Set(identities.map((identity) => identity.rules.join())).size;
  let common = [...(identities[0]?.rules ?? [])];
  for (const identity of identities) {
    const theirs = new Set(identity.rules);
    common = common.filter((rule) => theirs.has(rule));
  }
  const weight = common.reduce((sum, rule) => sum + (rules[rule] as PeerRule).weight, 0);
  if (weight * (different - 1) < Math.max(1, minSaving)) common = [];
  return (selecting) => {
    const own = without(selecting, common);
    if (own.length + common.length > selecting.length) {
      return { peer: cells.numberOf(selecting), wider: ANY_PEER };
    }
    if (own.length === 0) return { peer: cells.numberOf(common), wider: ANY_PEER };
    return { peer: cells.numberOf(own), wider: cells.numberOf(common) };
  };
}

function enter({ begin, except }: Point, active: Uint32Array): void {
  for (const { rule } of begin) active[rule] = (active[rule] as number) + 1;
  for (const selector of except) {
    if (selector.excepted++ === 0) active[selector.rule] = (active[selector.rule] as number) - 1;
  }
}

function leave({ begin, except }: Point, active: Uint32Array): void {
  for (const { rule } of begin) active[rule] = (active[rule] as number) - 1;
  for (const selector of except) {
    if (--selector.excepted === 0) active[selector.rule] = (active[selector.rule] as number) + 1;
  }
}

function combine(a: readonly number[], b: readonly number[]): number[] {
  return [...new Set([...a, ...b])].sort((one, other) => one - other);
}

function without(rules: readonly number[], gone: readonly number[]): readonly number[] {
  if (gone.length === 0) return rules;
  const set = new Set(gone);
  return rules.filter((rule) => !set.has(rule));
}
