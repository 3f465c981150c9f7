/** Which flows fall into which cell of the matrix: what the policies say beside what was seen. */
import { processAt } from "../services.ts";
import type { Endpoint, Flow } from "../shapes.ts";
import { addressNumber, inPrefix, type Prefix, parsePrefix } from "./addresses.ts";
import type { Direction, Matrix, MatrixPeer, MatrixPort } from "./shapes.ts";

export interface SeenQuestion {
  readonly matrix: Matrix;
  readonly direction: Direction;
  /** Undefined: the node itself, whoever runs on it. */
  readonly workload: string | undefined;
}

/** By the number of a cell: its row times the number of columns, and its column. O(flows + addresses × rows). */
export function seenIn(
  { matrix, direction, workload }: SeenQuestion,
  flows: Iterable<Flow>,
): Map<number, Flow[]> {
  const rowOf = rowsOf(matrix.peers);
  const columnOf = columnsOf(matrix.ports);
  const found = new Map<number, Flow[]>();
  for (const flow of flows) {
    // What is forwarded, and what stays on this host, is not the node's to judge.
    if (flow.place !== "local" || flow.direction !== direction) continue;
    if (workload !== undefined && !isOf(flow, workload)) continue;
    const row = rowOf(direction === "ingress" ? flow.source : flow.destination);
    if (row < 0) continue;
    const cell = row * matrix.ports.length + columnOf(flow);
    const there = found.get(cell);
    if (there === undefined) found.set(cell, [flow]);
    else there.push(flow);
  }
  return found;
}

/** Keys of rows and columns, as the URL names them. */
export function peerKey({ kind, name }: MatrixPeer): string {
  return `${kind}:${name}`;
}

export function portKey({ protocol, first, last, isRest }: MatrixPort): string {
  if (protocol === null) return "*";
  if (isRest) return `${protocol}/*`;
  return `${protocol}/${first}${last === first ? "" : `-${last}`}`;
}

function isOf(flow: Flow, workload: string): boolean {
  const process = processAt(flow, flow.direction === "ingress" ? "destination" : "source");
  return process?.unit === workload || process?.container === workload;
}

/** Of several rows the one whose prefix is the longest; a name that a rule gives is nearer than any prefix. */
function rowsOf(peers: readonly MatrixPeer[]): (end: Endpoint) => number {
  const prefixes = peers
    .flatMap((peer, row) =>
      peer.prefixes.flatMap((text): { row: number; prefix: Prefix }[] => {
        const prefix = parsePrefix(text);
        return prefix === undefined ? [] : [{ row, prefix }];
      }),
    )
    .sort((a, b) => b.prefix.bits - a.prefix.bits);
  const names = peers.flatMap(({ kind, name }, row) =>
    kind === "name" ? [{ row, test: nameTest(name) }] : [],
  );
  const known = new Map<string, number>();
  const find = ({ ip, name }: Endpoint): number => {
    const named = name === null ? undefined : names.find(({ test }) => test.test(name.toLowerCase()));
    const address = addressNumber(ip);
    if (address === undefined) return -1;
    const held = prefixes.find(({ prefix }) => inPrefix(address, prefix));
    const isNode = held !== undefined && ["host", "member"].includes(peers[held.row]?.kind ?? "");
    return isNode ? held.row : (named?.row ?? held?.row ?? -1);
  };
  return (end) => {
    const key = `${end.ip} ${end.name}`;
    const row = known.get(key) ?? find(end);
    known.set(key, row);
    return row;
  };
}

/** `*` stands within a label, `**.` at the beginning for one label or more. */
function nameTest(pattern: string): RegExp {
  const deep = pattern.startsWith("**.");
  const rest = (deep ? pattern.slice(3) : pattern).replace(/[.+?^${}()|[\]\\]/g, "\\$&");
  const labels = rest === "*" ? ".*" : rest.replaceAll("*", "[-a-z0-9_]*");
  return new RegExp(`^${deep ? "(?:[-a-z0-9_]+\\.)+" : ""}${labels}$`);
}

function columnsOf(ports: readonly MatrixPort[]): (flow: Flow) => number {
  const last = ports.length - 1;
  const known = new Map<string, number>();
  return ({ protocol, icmp, destination }) => {
    const port = icmp?.type ?? destination.port;
    const key = `${protocol} ${port}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const named = ports.findIndex(
      (one) => one.protocol === protocol && !one.isRest && one.first <= port && port <= one.last,
    );
    const rest = ports.findIndex((one) => one.protocol === protocol && one.isRest);
    const column = named >= 0 ? named : rest >= 0 ? rest : last;
    known.set(key, column);
    return column;
  };
}
