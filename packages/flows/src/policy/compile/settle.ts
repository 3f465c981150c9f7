/**
 * All rules of one policy for one peer, settled: for each protocol and port the one that decides. What has at most 8
 * bits is decided by rules for every port alone, so that a look-up with the protocol only (a fragment whose ports
 * nobody knows) gets their answer; ports under it are prefixes of 9 bits and more.
 */
import { type RuleClass, type RuleEntry, ruleClass } from "../tables.ts";
import { fewestPrefixes } from "./fewest-prefixes.ts";

export interface Decider {
  readonly class: RuleClass;
  readonly id: number;
  /** Undefined: every protocol and port. Protocols by number. */
  readonly ports: readonly PortRange[] | undefined;
}

export interface PortRange {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

export type Settled = Omit<RuleEntry, "policy" | "peer">;

const LAST_PORT = 65_535;
const nobody: Decider = { class: ruleClass.none, id: 0, ports: undefined };

interface Range {
  readonly first: number;
  readonly last: number;
  readonly decider: Decider;
}

/** O(n log n) for n ranges of ports. */
export function settle(deciders: readonly Decider[]): Settled[] {
  const settled: Settled[] = [];
  let always = nobody;
  const byProtocol = new Map<number, Range[]>();
  for (const decider of deciders) {
    if (decider.ports === undefined) {
      if (wins(decider, always)) always = decider;
      continue;
    }
    for (const { protocol, first, last } of decider.ports) {
      const ranges = byProtocol.get(protocol);
      if (ranges === undefined) byProtocol.set(protocol, [{ first, last, decider }]);
      else ranges.push({ first, last, decider });
    }
  }
  if (always !== nobody) settled.push({ protocol: 0, port: 0, bits: 0, class: always.class, id: always.id });
  for (const protocol of [...byProtocol.keys()].sort((a, b) => a - b)) {
    settleProtocol(protocol, byProtocol.get(protocol) as Range[], always, settled);
  }
  return settled;
}

function settleProtocol(protocol: number, ranges: readonly Range[], always: Decider, into: Settled[]): void {
  let everyPort = always;
  for (const { first, last, decider } of ranges) {
    if (first === 0 && last === LAST_PORT && wins(decider, everyPort)) everyPort = decider;
  }
  if (everyPort !== always) {
    into.push({ protocol, port: 0, bits: 8, class: everyPort.class, id: everyPort.id });
  }
  const stronger = ranges.filter(({ decider }) => wins(decider, everyPort));
  if (stronger.length === 0) return;
  const { ends, deciders } = paint(stronger, everyPort);
  const values = [...new Set([...deciders, everyPort])].sort(byStrength);
  const indexOf = new Map(values.map((decider, index) => [decider, index]));
  const numberOf = (decider: Decider): number => indexOf.get(decider) as number;
  const prefixes = fewestPrefixes(ends, deciders.map(numberOf), numberOf(everyPort));
  for (const { start, bits, value } of prefixes) {
    const decider = values[value] as Decider;
    into.push({ protocol, port: start, bits: 8 + bits, class: decider.class, id: decider.id });
  }
}

/** All ports as consecutive ranges, each with who decides there. */
function paint(ranges: readonly Range[], everyPort: Decider): { ends: number[]; deciders: Decider[] } {
  const starts = new Set([0]);
  for (const { first, last } of ranges) {
    starts.add(first);
    if (last < LAST_PORT) starts.add(last + 1);
  }
  const sorted = [...starts].sort((a, b) => a - b);
  const indexOf = new Map(sorted.map((start, index) => [start, index]));
  const painted: (Decider | undefined)[] = new Array(sorted.length);
  // The strongest first; each place knows the next that nobody has painted yet.
  const unpainted = Int32Array.from({ length: sorted.length + 1 }, (_, index) => index);
  const next = (place: number): number => {
    let free = place;
    while (unpainted[free] !== free) free = unpainted[free] as number;
    for (let at = place; at !== free; ) {
      const after = unpainted[at] as number;
      unpainted[at] = free;
      at = after;
    }
    return free;
  };
  for (const { first, last, decider } of ranges.toSorted((a, b) => byStrength(a.decider, b.decider))) {
    const end = indexOf.get(last + 1) ?? sorted.length;
    for (let at = next(indexOf.get(first) as number); at < end; at = next(at)) {
      painted[at] = decider;
      unpainted[at] = at + 1;
    }
  }
  const ends: number[] = [];
  const deciders: Decider[] = [];
  for (let index = 0; index < sorted.length; index++) {
    const decider = painted[index] ?? everyPort;
    const end = (sorted[index + 1] ?? LAST_PORT + 1) - 1;
    if (deciders.at(-1) === decider) ends[ends.length - 1] = end;
    else {
      ends.push(end);
      deciders.push(decider);
    }
  }
  return { ends, deciders };
}

/** The strongest first. */
function byStrength(a: Decider, b: Decider): number {
  return b.class - a.class || a.id - b.id;
}

function wins(a: Decider, b: Decider): boolean {
  return byStrength(a, b) < 0;
}
