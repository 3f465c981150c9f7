/**
 * Seeded policies, worlds and attempts in which much overlaps: few addresses, labels and ports, so that prefixes nest,
 * ranges meet and selectors agree; attempts lie at the edges of what the policies say.
 */
import type { Random } from "@x0tta6bl4/core";
import { formatAddress } from "../../address.ts";
import { type Attempt, NODE_ENDPOINT, type PolicySet, policyProtocols, type World } from "../model.ts";
import type { Management } from "../tables.ts";
import { one, some } from "./choose.ts";
import { anAddress, aPrefix, edgesOf, prefixesIn } from "./random-addresses.ts";
import { randomSet } from "./random-set.ts";
import { labelsOf, names } from "./vocabulary.ts";

export interface RandomCase {
  readonly set: PolicySet;
  readonly world: World;
  readonly management: Management | undefined;
}

export function randomCase(random: Random): RandomCase {
  const world = randomWorld(random);
  const { set, nextId } = randomSet(random);
  return { set, world, management: random.below(3) === 0 ? randomManagement(random, nextId) : undefined };
}

/** Addresses and names are of the same few that policies name; some are several nodes' or named as well. */
export function randomWorld(random: Random): World {
  const named = new Map(
    some(random, 0, 12, () => [
      formatAddress(anAddress(random)),
      some(random, 1, 3, () => one(random, names)),
    ]),
  );
  return {
    node: {
      name: "self",
      labels: { ...labelsOf(random), "reserved:host": "" },
      addresses: some(random, 1, 4, () => anAddress(random)),
    },
    members: some(random, 0, 4, (index) => ({
      name: `member-${index}`,
      labels: { ...labelsOf(random), "reserved:remote-node": "" },
      addresses: some(random, 0, 3, () => anAddress(random)),
    })),
    workloads: some(random, 0, 3, (index) => ({
      endpoint: index + 1,
      name: `workload-${index}`,
      labels: labelsOf(random),
      ...(random.below(2) === 0 ? {} : { addresses: some(random, 0, 2, () => anAddress(random)) }),
    })),
    names: (address) => named.get(formatAddress(address)) ?? [],
  };
}

function randomManagement(random: Random, id: number): Management {
  return {
    id,
    ports: some(random, 0, 2, () => ({
      protocol: one(random, [6, 17]),
      port: one(random, [22, 80, 65_535]),
    })),
    sources: random.below(2) === 0 ? [] : some(random, 1, 3, () => aPrefix(random)),
  };
}

/** @param count how many, at the edges of prefixes and ranges for the most part. */
export function randomAttempts(
  random: Random,
  { set, world, management }: RandomCase,
  count: number,
): Attempt[] {
  const prefixes = [...prefixesIn(set), ...(management?.sources ?? [])];
  const edges = [
    ...prefixes.flatMap(edgesOf),
    ...[world.node, ...world.members, ...world.workloads].flatMap(({ addresses }) => addresses ?? []),
  ];
  const managed =
    management?.ports.map(({ protocol, port }) => ({ protocol, first: port, last: port })) ?? [];
  const ranges = [...portsIn(set), ...managed, ...managed];
  const endpoints = [NODE_ENDPOINT, ...world.workloads.map(({ endpoint }) => endpoint)];
  return Array.from({ length: count }, (): Attempt => {
    const isLocal = world.workloads.length > 0 && random.below(8) === 0;
    const isAtEdge = edges.length > 0 && random.below(3) > 0;
    return {
      endpoint: one(random, endpoints),
      direction: one(random, ["ingress", "egress"]),
      peer: isLocal
        ? { address: one(random, world.node.addresses), workload: one(random, world.workloads).endpoint }
        : { address: isAtEdge ? one(random, edges) : anAddress(random) },
      ...randomPort(random, ranges),
    };
  });
}

interface PortRange {
  readonly protocol: number;
  readonly first: number;
  readonly last: number;
}

function randomPort(random: Random, ranges: readonly PortRange[]): Pick<Attempt, "protocol" | "port"> {
  if (random.below(12) === 0) return { protocol: 47, port: 0 };
  const range = ranges.length > 0 && random.below(8) > 0 ? one(random, ranges) : undefined;
  const protocol = range?.protocol ?? one(random, Object.values(policyProtocols));
  if (random.below(8) === 0) return { protocol, port: undefined };
  if (range === undefined) return { protocol, port: random.below(65_536) };
  const inside = range.first + random.below(range.last - range.first + 1);
  const port = one(random, [range.first - 1, range.first, inside, range.last, range.last + 1]);
  return { protocol, port: Math.max(0, Math.min(65_535, port)) };
}

function portsIn({ policies }: PolicySet): PortRange[] {
  return policies
    .flatMap(({ specs }) => specs)
    .flatMap(({ ingress, egress }) => [...(ingress?.rules ?? []), ...(egress?.rules ?? [])])
    .flatMap(({ ports }) => ports ?? [])
    .map(({ protocol, first, last }) => ({ protocol: policyProtocols[protocol], first, last }));
}
