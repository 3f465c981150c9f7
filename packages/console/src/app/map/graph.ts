/**
 * Hosts and services as a graph: nodes are the ends of flows, an edge joins who opened to who was asked. Bounded:
 * beyond the bound remote hosts are first joined by domain or network, then the least become one node.
 */
import { type Party, type PartyKind, partyAt } from "../services.ts";
import type { Flow } from "../shapes.ts";

export interface MapNode {
  readonly key: string;
  readonly kind: PartyKind | "network" | "more";
  readonly label: string;
  /** How many services or hosts it stands for. */
  readonly members: number;
  readonly bytes: number;
  readonly flows: number;
}

export interface MapEdge {
  readonly from: string;
  readonly to: string;
  readonly bytes: number;
  readonly packets: number;
  readonly flows: number;
  readonly drops: number;
  readonly retransmits: number;
}

export interface Graph {
  readonly nodes: readonly MapNode[];
  readonly edges: readonly MapEdge[];
  /** Edges beyond the bound, which are not drawn. */
  readonly hiddenEdges: number;
}

export interface GraphBounds {
  readonly services: number;
  readonly remotes: number;
  readonly edges: number;
}

type Sums = { bytes: number; packets: number; flows: number; drops: number; retransmits: number };
type Edge = Sums & { from: Party; to: Party };
type Folded = { -readonly [Key in keyof MapNode]: MapNode[Key] };

/** O(flows + parties log parties). */
export function graphOf(rows: Iterable<{ readonly flow: Flow }>, bounds: GraphBounds): Graph {
  const edges = sumEdges(rows);
  const nodes = sumNodes(edges);
  const isHere = ({ kind }: { readonly kind: MapNode["kind"] }): boolean => here.has(kind);
  const services = [...nodes.values()].filter(isHere);
  const remotes = [...nodes.values()].filter((node) => !isHere(node));
  const homes = new Map<string, Folded>();
  fold(services, bounds.services, "more services", homes);
  if (remotes.length <= bounds.remotes) fold(remotes, bounds.remotes, "more hosts", homes);
  else fold(joinNetworks(remotes, homes), bounds.remotes, "more hosts", homes);
  return joinEdges(edges, homes, bounds.edges);
}

const here: ReadonlySet<MapNode["kind"]> = new Set(["container", "unit", "process", "unknown"]);

export function isService({ kind, key }: Pick<MapNode, "kind" | "key">): boolean {
  return here.has(kind) || key === "more:more services";
}

function sumEdges(rows: Iterable<{ readonly flow: Flow }>): readonly Edge[] {
  const edges = new Map<string, Edge>();
  for (const { flow } of rows) {
    const [from, to] = [partyAt(flow, "source"), partyAt(flow, "destination")];
    // No name of a process or from DNS holds a NUL.
    const key = `${from.key}\0${to.key}`;
    let edge = edges.get(key);
    if (edge === undefined) {
      edge = { from, to, bytes: 0, packets: 0, flows: 0, drops: 0, retransmits: 0 };
      edges.set(key, edge);
    }
    add(edge, {
      bytes: flow.bytes.sent + flow.bytes.received,
      packets: flow.packets.sent + flow.packets.received,
      flows: 1,
      drops: flow.drops?.packets ?? 0,
      retransmits: flow.tcp?.retransmits ?? 0,
    });
  }
  return [...edges.values()];
}

function sumNodes(edges: readonly Edge[]): Map<string, Folded> {
  const nodes = new Map<string, Folded>();
  const count = ({ key, kind, label }: Party, { bytes, flows }: Sums): void => {
    const node = nodes.get(key) ?? { key, kind, label, members: 1, bytes: 0, flows: 0 };
    nodes.set(key, node);
    node.bytes += bytes;
    node.flows += flows;
  };
  for (const edge of edges) {
    count(edge.from, edge);
    if (edge.to.key !== edge.from.key) count(edge.to, edge);
  }
  return nodes;
}

/** The largest stay themselves; all others share one home. */
function fold(nodes: readonly Folded[], bound: number, label: string, homes: Map<string, Folded>): void {
  const ranked = nodes.toSorted((a, b) => b.bytes - a.bytes || (a.key < b.key ? -1 : 1));
  const kept = ranked.length <= bound ? ranked : ranked.slice(0, bound - 1);
  for (const node of kept) homes.set(node.key, node);
  const rest = ranked.slice(kept.length);
  if (rest.length === 0) return;
  const home = joined(`more:${label}`, "more", label, rest);
  for (const node of rest) homes.set(node.key, home);
  // What had moved into a network that is now too small itself moves on with it.
  const moved = new Set<Folded>(rest);
  for (const [key, node] of homes) if (moved.has(node)) homes.set(key, home);
}

/** Hosts of one domain or network become one node, unless a host is alone in it. */
function joinNetworks(remotes: readonly Folded[], homes: Map<string, Folded>): readonly Folded[] {
  const networks = Map.groupBy(remotes, networkOf);
  return [...networks].map(([network, members]) => {
    const [first] = members as [Folded, ...Folded[]];
    if (members.length === 1) return first;
    const home = joined(`network:${network}`, "network", network, members);
    for (const member of members) homes.set(member.key, home);
    return home;
  });
}

function joined(key: string, kind: MapNode["kind"], label: string, members: readonly Folded[]): Folded {
  const sum = (of: "members" | "bytes" | "flows"): number =>
    members.reduce((total, member) => total + member[of], 0);
  return { key, kind, label, members: sum("members"), bytes: sum("bytes"), flows: sum("flows") };
}

/** `*.example.com` of a name, 10.1.2.0/24 or 2001:db8:1::/48 of an address. */
export function networkOf({ kind, label }: Pick<MapNode, "kind" | "label">): string {
  if (kind === "name") return `*.${label.split(".").slice(-2).join(".")}`;
  if (!label.includes(":")) return `${label.split(".").slice(0, 3).join(".")}.0/24`;
  const [head = ""] = label.split("::");
  return `${head.split(":").slice(0, 3).join(":")}::/48`;
}

function joinEdges(edges: readonly Edge[], homes: ReadonlyMap<string, Folded>, bound: number): Graph {
  const found = new Map<string, Sums & { from: string; to: string }>();
  const nodes = new Map<string, Folded>();
  for (const { from, to, ...sums } of edges) {
    const [a, b] = [homes.get(from.key) as Folded, homes.get(to.key) as Folded];
    nodes.set(a.key, a).set(b.key, b);
    const key = `${a.key}\0${b.key}`;
    const edge = found.get(key);
    if (edge === undefined) found.set(key, { from: a.key, to: b.key, ...sums });
    else add(edge, sums);
  }
  const ranked = [...found.values()].sort((a, b) => b.bytes - a.bytes || b.flows - a.flows);
  const order = (a: MapNode, b: MapNode): number => b.bytes - a.bytes || (a.key < b.key ? -1 : 1);
  return {
    nodes: [...nodes.values()].sort(order),
    edges: ranked.slice(0, bound),
    hiddenEdges: Math.max(0, ranked.length - bound),
  };
}

function add(to: Sums, { bytes, packets, flows, drops, retransmits }: Sums): void {
  to.bytes += bytes;
  to.packets += packets;
  to.flows += flows;
  to.drops += drops;
  to.retransmits += retransmits;
}
