import type { Random } from "@x0tta6bl4/core";
import {
  entities,
  type PeerSelector,
  type PolicyDirection,
  type PolicyProtocol,
  type PolicyRule,
  type PolicySet,
  type PolicySpec,
  type PortSelector,
  policyProtocols,
} from "../model.ts";
import { one, some } from "./choose.ts";
import { aPrefix, aPrefixIn } from "./random-addresses.ts";
import { names, patterns, selectorOf } from "./vocabulary.ts";

const edgesOfPorts = [0, 1, 22, 53, 80, 81, 443, 1023, 1024, 8080, 32_767, 32_768, 65_534, 65_535];

/** Some policies of every shape that the language can give. @returns with the first id that it does not use. */
export function randomSet(random: Random): { readonly set: PolicySet; readonly nextId: number } {
  let nextId = 1;
  const direction = (section: "ingress" | "egress", path: string): PolicyDirection => ({
    defaultDenyId: nextId++,
    path: `${path}.${section}`,
    defaultDeny: random.below(4) > 0,
    rules: some(random, 0, 4, (index) =>
      randomRule(random, section, `${path}.${section}[${index}]`, nextId++),
    ),
  });
  const spec = (path: string): PolicySpec => ({
    path,
    subject: { kind: one(random, ["endpoint", "endpoint", "node"]), labels: selectorOf(random) },
    ingress: random.below(4) > 0 ? direction("ingress", path) : undefined,
    egress: random.below(4) > 0 ? direction("egress", path) : undefined,
    description: undefined,
    log: undefined,
  });
  const policies = some(random, 1, 4, (index) => ({
    kind: "CiliumClusterwideNetworkPolicy" as const,
    name: `policy-${index}`,
    labels: {},
    audit: random.below(4) === 0,
    specs: some(random, 1, 2, (at) => spec(`specs[${at}]`)),
  }));
  return { set: { policies }, nextId };
}

function randomRule(random: Random, section: "ingress" | "egress", path: string, id: number): PolicyRule {
  const deny = random.below(4) === 0;
  const canName = section === "egress" && !deny;
  const lacksPeers = random.below(4) === 0;
  return {
    id,
    path,
    deny,
    peers: lacksPeers ? undefined : some(random, 0, 3, () => randomPeers(random, canName)).flat(),
    ports: random.below(3) === 0 ? undefined : some(random, 0, 3, () => randomPorts(random)),
  };
}

function randomPeers(random: Random, canName: boolean): PeerSelector[] {
  const last = canName ? "name" : "cidr";
  switch (one(random, ["cidr", "cidr", "cidr", "entity", "endpoints", "nodes", last] as const)) {
    case "cidr":
      return randomPrefixes(random);
    case "entity":
      return [{ kind: "entity", entity: one(random, entities) }];
    case "endpoints":
      return [{ kind: "endpoints", labels: selectorOf(random) }];
    case "nodes":
      return [{ kind: "nodes", labels: selectorOf(random) }];
    case "name":
      return random.below(2) === 0
        ? [{ kind: "name", name: one(random, names) }]
        : [{ kind: "pattern", pattern: one(random, patterns) }];
  }
}

/** One with its exceptions, and now and then one inside an exception or around them all. */
function randomPrefixes(random: Random): PeerSelector[] {
  const prefix = aPrefix(random);
  const except = some(random, 0, 2, () =>
    random.below(8) === 0 ? aPrefix(random) : aPrefixIn(random, prefix),
  );
  const inside = except.filter(() => random.below(3) === 0).map((excepted) => aPrefixIn(random, excepted));
  return [
    { kind: "cidr", prefix, except },
    ...inside.map((again) => ({ kind: "cidr" as const, prefix: again, except: [] })),
  ];
}

function randomPorts(random: Random): PortSelector {
  const protocol = one(random, Object.keys(policyProtocols) as PolicyProtocol[]);
  if (random.below(6) === 0) return { protocol, first: 0, last: 65_535 };
  const [a, b] = [
    one(random, edgesOfPorts),
    random.below(4) === 0 ? random.below(65_536) : one(random, edgesOfPorts),
  ];
  const last = random.below(3) === 0 ? a : Math.max(a, b);
  return { protocol, first: Math.min(a, last), last };
}
