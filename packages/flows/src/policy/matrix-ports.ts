/** Columns of the matrix: the stretches of ports into which rules cut each protocol. */
import { type PolicyProtocol, type PolicyRule, type PortSelector, policyProtocols } from "./model.ts";
import type { Management } from "./tables.ts";

const LAST_PORT = 65_535;
/** For experiments (RFC 3692): no rule can name it. */
const UNNAMED_PROTOCOL = 253;

export interface MatrixPort {
  /** Null: all protocols that no rule names. */
  readonly protocol: PolicyProtocol | null;
  /** Of ICMP: types of messages. */
  readonly first: number;
  readonly last: number;
  /** All that no other column holds. */
  readonly isRest: boolean;
}

/** A column, and one port of it to ask about. */
export interface PortProbe {
  readonly told: MatrixPort;
  readonly protocol: number;
  readonly first: number;
}

/** By protocol and port; behind each protocol its other ports, and in the end all that is not named. */
export function matrixPorts(rules: readonly PolicyRule[], managed: Management["ports"]): PortProbe[] {
  const selectors = rules.flatMap(({ ports }) => ports ?? []);
  const names = Object.keys(policyProtocols) as PolicyProtocol[];
  const also = managed.flatMap(({ protocol, port }): PortSelector[] => {
    const name = names.find((one) => policyProtocols[one] === protocol);
    return name === undefined ? [] : [{ protocol: name, first: port, last: port }];
  });
  const columns = names.flatMap((protocol) =>
    ofProtocol(
      protocol,
      [...selectors, ...also].filter((selector) => selector.protocol === protocol),
    ),
  );
  const rest: MatrixPort = { protocol: null, first: 0, last: LAST_PORT, isRest: true };
  return [...columns, { told: rest, protocol: UNNAMED_PROTOCOL, first: 0 }];
}

function ofProtocol(protocol: PolicyProtocol, selectors: readonly PortSelector[]): PortProbe[] {
  if (selectors.length === 0) return [];
  const named = selectors.filter(({ first, last }) => first > 0 || last < LAST_PORT);
  const cuts = new Set([0, ...named.flatMap(({ first, last }) => [first, last + 1])]);
  const starts = [...cuts].filter((at) => at <= LAST_PORT).sort((a, b) => a - b);
  const stretches = starts.map((first, index) => ({ first, last: (starts[index + 1] ?? LAST_PORT + 1) - 1 }));
  const sorted = named.toSorted((a, b) => a.first - b.first);
  let next = 0;
  let namedTo = -1;
  // Both are in order: each selector is looked at once.
  const isNamed = stretches.map(({ first }) => {
    for (; (sorted[next]?.first ?? LAST_PORT + 1) <= first; next++)
      namedTo = Math.max(namedTo, sorted[next]?.last ?? -1);
    return namedTo >= first;
  });
  const probe = (first: number, told: Omit<MatrixPort, "protocol">): PortProbe => ({
    told: { protocol, ...told },
    protocol: policyProtocols[protocol],
    first,
  });
  const other = stretches.find((_, at) => !isNamed[at]);
  return [
    ...stretches
      .filter((_, at) => isNamed[at])
      .map((stretch) => probe(stretch.first, { ...stretch, isRest: false })),
    ...(other === undefined ? [] : [probe(other.first, { first: 0, last: LAST_PORT, isRest: true })]),
  ];
}
