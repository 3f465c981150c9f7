/**
 * All names and patterns in force as one deterministic automaton, which the kernel walks a byte of a question's name
 * at a time (bpf/names.h): exact, and as fast for ten thousand selectors as for one. What `nameMatches` says of each
 * selector is here a tree of tokens that selectors share, and subsets of its nodes are the states.
 *
 * Symbols: 1 to 26 letters, to 36 digits, 37 `-`, 38 `_`, 39 between labels. No label is empty, and a name with any
 * other byte is selected by nothing, both by the kernel's own walk.
 */
import { flowsFail } from "../../errors.ts";
import type { NameEntry } from "../tables.ts";

const SYMBOLS = 40;
const SEPARATOR = 39;
/** Where no selector is left, and where a name begins. */
const NOWHERE = 0;
const BEGIN = 1;
/** Of an address in the kernel's map. */
export const MOST_PEERS = 8;
export const STATE_BYTES = 2 * SYMBOLS + 4 * MOST_PEERS;

/** The kernel's states have 16 bits: 7 MB then. */
export const MOST_STATES = 65_535;
/** Nodes in all subsets: a second of work here, which patterns with many stars in one label take long before. */
const MOST_MEMBERS = 4_000_000;

interface Node {
  readonly number: number;
  readonly edges: Map<number, Node>;
  /** Any characters of a label. */
  star: Node | undefined;
  /** What it stays at: nothing, a label's characters, everything. */
  readonly stays: "never" | "label" | "always";
  /** Follows each separator, while it stays itself: behind `**.`. */
  deep: Node | undefined;
  readonly peers: number[];
}

/**
 * @returns states of STATE_BYTES each, or none where there are no names.
 * @throws X0_FLOWS_POLICY_TOO_LARGE
 */
export function nameAutomaton(names: readonly NameEntry[]): Uint8Array {
  if (names.length === 0) return new Uint8Array(0);
  const { root, anything, everywhere } = treeOf(names);
  const states: { readonly members: readonly Node[]; readonly from: number; readonly by: number }[] = [
    { members: [], from: 0, by: 0 },
  ];
  const numbers = new Map<string, number>([["", NOWHERE]]);
  let members = 0;
  const numberOf = (nodes: readonly Node[], from: number, by: number): number => {
    const sorted = withStars(nodes);
    const key = sorted.map(({ number }) => number).join();
    const known = numbers.get(key);
    if (known !== undefined) return known;
    members += sorted.length;
    if (states.length >= MOST_STATES || members > MOST_MEMBERS)
      throw flowsFail(
        "X0_FLOWS_POLICY_TOO_LARGE",
        `the names need more than ${MOST_STATES} states to be matched`,
        {
          hint: "write fewer patterns that have several stars in one label",
        },
      );
    numbers.set(key, states.length);
    return states.push({ members: sorted, from, by }) - 1;
  };
  numberOf([root, ...everywhere], 0, 0);
  const nexts: Uint16Array[] = [new Uint16Array(SYMBOLS)];
  for (let state = BEGIN; state < states.length; state++) {
    const { members: nodes } = states[state] as (typeof states)[number];
    const begins = state === BEGIN ? anything : [];
    const next = new Uint16Array(SYMBOLS);
    const staying = [...nodes.filter(({ stays }) => stays !== "never"), ...begins];
    const other = numberOf(staying, state, 1);
    next.fill(other, 1, SEPARATOR);
    for (const [symbol, following] of edgesOf(nodes))
      if (symbol !== SEPARATOR) next[symbol] = numberOf([...staying, ...following], state, symbol);
    // No name begins with it.
    if (state !== BEGIN) {
      const beyond = nodes.flatMap((node) => [
        ...(node.stays === "always" || node.deep !== undefined ? [node] : []),
        ...(node.deep === undefined ? [] : [node.deep]),
        ...[node.edges.get(SEPARATOR)].filter((edge) => edge !== undefined),
      ]);
      next[SEPARATOR] = numberOf(beyond, state, SEPARATOR);
    }
    nexts.push(next);
  }
  const bytes = new Uint8Array(states.length * STATE_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [state, next] of nexts.entries()) {
    new Uint16Array(bytes.buffer, state * STATE_BYTES, SYMBOLS).set(next);
    const peers = (states[state] as (typeof states)[number]).members.flatMap((node) => node.peers);
    if (peers.length > MOST_PEERS) {
      const name = spell(states, state);
      throw flowsFail(
        "X0_FLOWS_POLICY_TOO_LARGE",
        `${peers.length} names and patterns select ${name}, at most ${MOST_PEERS} may`,
        { hint: "leave out names that a pattern selects as well" },
      );
    }
    for (const [index, peer] of peers.entries())
      view.setUint32(state * STATE_BYTES + 2 * SYMBOLS + 4 * index, peer, true);
  }
  return bytes;
}

/** Whom a name is selected by, walked as the kernel does. */
export function peersOfName(automaton: Uint8Array, name: string): number[] {
  if (automaton.length === 0) return [];
  const view = new DataView(automaton.buffer, automaton.byteOffset, automaton.byteLength);
  let state = BEGIN;
  for (const character of name) {
    const symbol = symbolOf(character);
    state = symbol === 0 ? NOWHERE : view.getUint16(state * STATE_BYTES + 2 * symbol, true);
  }
  return Array.from({ length: MOST_PEERS }, (_, index) =>
    view.getUint32(state * STATE_BYTES + 2 * SYMBOLS + 4 * index, true),
  ).filter((peer) => peer !== 0);
}

/**
 * The tree of what all selectors begin with. `anything` are nodes that follow the first character whatever it is, for
 * `*`; `everywhere` those that a name begins at besides the root, for `**.`.
 */
function treeOf(names: readonly NameEntry[]): {
  readonly root: Node;
  readonly anything: readonly Node[];
  readonly everywhere: readonly Node[];
} {
  let count = 0;
  const node = (stays: Node["stays"]): Node => ({
    number: ++count,
    edges: new Map(),
    star: undefined,
    stays,
    deep: undefined,
    peers: [],
  });
  const root = node("never");
  const anything = node("always");
  const below = node("label");
  below.deep = node("never");
  for (const { kind, text, peer } of names) {
    if (kind === "pattern" && text === "*") {
      anything.peers.push(peer);
      continue;
    }
    const isDeep = kind === "pattern" && text.startsWith("**.");
    let at = isDeep ? below.deep : root;
    for (const character of isDeep ? text.slice(3) : text) {
      if (character === "*") {
        at.star ??= node("label");
        at = at.star;
        continue;
      }
      const symbol = symbolOf(character);
      let next = at.edges.get(symbol);
      if (next === undefined) {
        next = node("never");
        at.edges.set(symbol, next);
      }
      at = next;
    }
    at.peers.push(peer);
  }
  return {
    root,
    anything: anything.peers.length === 0 ? [] : [anything],
    everywhere: below.deep.edges.size === 0 && below.deep.star === undefined ? [] : [below],
  };
}

/** Where each symbol leads, ascending, so that the same names give the same states. */
function edgesOf(nodes: readonly Node[]): [symbol: number, following: readonly Node[]][] {
  const all = new Map<number, Node[]>();
  for (const { edges } of nodes)
    for (const [symbol, node] of edges) {
      const others = all.get(symbol);
      if (others === undefined) all.set(symbol, [node]);
      else others.push(node);
    }
  return all.size < 2 ? [...all] : [...all].sort(([a], [b]) => a - b);
}

/** A star may stand for nothing. */
function withStars(nodes: readonly Node[]): readonly Node[] {
  if (nodes.every(({ star }) => star === undefined) && nodes.length < 2) return nodes;
  const all = new Set(nodes);
  for (const { star } of nodes) if (star !== undefined) all.add(star);
  return [...all].sort((a, b) => a.number - b.number);
}

const characters = "?abcdefghijklmnopqrstuvwxyz0123456789-_.";

function symbolOf(character: string): number {
  return Math.max(0, characters.indexOf(character));
}

/** The shortest name that leads to a state, or one of them. */
function spell(states: readonly { readonly from: number; readonly by: number }[], state: number): string {
  let name = "";
  for (let at = state; at > BEGIN; ) {
    const { from, by } = states[at] as { from: number; by: number };
    name = characters[by] + name;
    at = from;
  }
  return name;
}
