/**
 * Who may talk to an endpoint, or whom it may talk to, as a table: kinds of peers by stretches of ports, in each cell
 * the evaluator's verdict. Rows and columns are cut where rules cut, so that each cell has one verdict.
 */
import { applying, peerMatches } from "./evaluate.ts";
import { evaluateManaged } from "./managed.ts";
import { type MatrixPeer, matrixPeers, type PeerProbe } from "./matrix-peers.ts";
import { type MatrixPort, matrixPorts, type PortProbe } from "./matrix-ports.ts";
import type {
  Attempt,
  Direction,
  Node,
  Policy,
  PolicyDirection,
  PolicySet,
  Verdict,
  World,
} from "./model.ts";
import type { KnownAddress } from "./names/known.ts";
import type { Management } from "./tables.ts";

/** More than anyone reads in one picture. */
const MOST_PEERS = 200;
const MOST_PORTS = 48;
/** Both families of the world, and somebody. */
const FEWEST_PEERS = 3;
/** Selectors and members held against peers for one answer: some 0.1 s, in which nothing else is answered. */
const MOST_STEPS = 400_000;

export interface Matrix {
  readonly peers: readonly MatrixPeer[];
  readonly ports: readonly MatrixPort[];
  /** By peer, then by port. */
  readonly cells: readonly (readonly Verdict[])[];
  /** Rows and columns without room. */
  readonly leftOut: { readonly peers: number; readonly ports: number };
}

export interface MatrixQuestion {
  readonly endpoint: number;
  readonly direction: Direction;
  readonly management: Management | undefined;
  /** Names that addresses have. */
  readonly known?: readonly KnownAddress[];
}

/**
 * Undefined where no policy speaks of the endpoint in that direction.
 * O(peers × (selectors + members) + cells × rules of a peer).
 */
export function matrixOf(set: PolicySet, world: World, question: MatrixQuestion): Matrix | undefined {
  const { endpoint, direction } = question;
  const found = applying(set.policies, world, question);
  if (found.length === 0) return undefined;
  const policies = [...new Set(found.map(({ policy }) => policy))];
  const rules = found.flatMap((one) => one.direction.rules);
  const management = direction === "ingress" ? question.management : undefined;
  const allPorts = matrixPorts(rules, management?.ports ?? []);
  // The last one stands for all that no rule names.
  const ports = [...allPorts.slice(0, -1).slice(0, MOST_PORTS), ...allPorts.slice(-1)];
  const selectors = rules.reduce((sum, { peers }) => sum + (peers?.length ?? 1), 1);
  const room = Math.floor(MOST_STEPS / (selectors + world.members.length));
  const { shown: peers, leftOut } = matrixPeers(
    rules,
    world,
    { endpoint, sources: management?.sources ?? [], known: question.known ?? [] },
    Math.max(FEWEST_PEERS, Math.min(MOST_PEERS, room)),
  );
  const cells = peers.map(({ address, workload, names }) => {
    const isThere = (node: Node): boolean => node.addresses.some((one) => Buffer.compare(one, address) === 0);
    const there = { ...world, members: world.members.filter(isThere), names: () => names };
    const peer = { address, workload };
    const set = { policies: policies.map((policy) => about(policy, there, peer)) };
    return ports.map(({ protocol, first: port }) =>
      evaluateManaged(set, there, management, { endpoint, direction, peer, protocol, port }),
    );
  });
  return {
    ...joined(peers, ports, cells),
    leftOut: { peers: leftOut, ports: allPorts.length - ports.length },
  };
}

/** The policy with the rules that select the peer: the others cannot decide. */
function about(policy: Policy, world: World, peer: Attempt["peer"]): Policy {
  const narrow = (section: PolicyDirection | undefined): PolicyDirection | undefined =>
    section && {
      ...section,
      rules: section.rules.filter(({ peers }) => peers?.some((one) => peerMatches(one, world, peer)) ?? true),
    };
  const specs = policy.specs.map((spec) => ({
    ...spec,
    ingress: narrow(spec.ingress),
    egress: narrow(spec.egress),
  }));
  return { ...policy, specs };
}

/**
 * Neighbours that say the same become one: stretches of ports without a gap, both families of the world, and addresses
 * of one name.
 */
function joined(
  peers: readonly PeerProbe[],
  ports: readonly PortProbe[],
  cells: readonly (readonly Verdict[])[],
): Omit<Matrix, "leftOut"> {
  const keys = cells.map((row) => row.map(({ decision, id }) => `${decision} ${id}`));
  const sameColumns = (a: number, b: number): boolean => keys.every((row) => row[a] === row[b]);
  const columns: { port: MatrixPort; at: number }[] = [];
  for (const [at, { told }] of ports.entries()) {
    const before = columns.at(-1);
    const isSame = before !== undefined && sameColumns(before.at, at);
    const { port } = before ?? {};
    if (isSame && port?.protocol === told.protocol && !told.isRest && port.last + 1 === told.first)
      columns[columns.length - 1] = { at: before.at, port: { ...port, last: told.last } };
    // What a protocol's other ports say like all else says nothing of its own.
    else if (!(told.isRest && told.protocol !== null && sameColumns(at, ports.length - 1)))
      columns.push({ port: told, at });
  }
  const rows: { peer: MatrixPeer; at: number }[] = [];
  for (const [at, { told }] of peers.entries()) {
    const before = rows.at(-1);
    const { kind } = told;
    const isAlike = kind === "world" || (kind === "name" && before?.peer.name === told.name);
    const isSame = before?.peer.kind === kind && isAlike;
    if (isSame && keys[before.at]?.join() === keys[at]?.join())
      rows[rows.length - 1] = {
        at: before.at,
        peer: {
          ...told,
          ...(kind === "world" ? { name: "world" } : {}),
          prefixes: [...before.peer.prefixes, ...told.prefixes],
        },
      };
    else rows.push({ peer: told, at });
  }
  return {
    peers: rows.map(({ peer }) => peer),
    ports: columns.map(({ port }) => port),
    cells: rows.map((row) => columns.map((column) => cells[row.at]?.[column.at] as Verdict)),
  };
}
