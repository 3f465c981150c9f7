/** A host with two workloads, two other members and some of the world: one of everything that selectors tell apart. */
import { formatAddress, parseAddress } from "../../address.ts";
import { protocolNumber } from "../../protocols.ts";
import { assemble } from "../language/assemble.ts";
import type { PolicyDocument } from "../language/draft.ts";
import { namedPorts } from "../language/named-ports.ts";
import { parsePolicies } from "../language/parse.ts";
import { describeProblem } from "../language/problem.ts";
import type { Attempt, Direction, PolicySet, World } from "../model.ts";

const address = (text: string): Uint8Array => {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new TypeError(`${text} is no address`);
  return bytes;
};

const namesOf: Readonly<Record<string, readonly string[]>> = {
  "203.0.113.5": ["www.example.org", "cdn.example.net"],
  "203.0.113.6": ["a.b.example.org"],
  "2001:db8:9::7": ["example.org"],
  /** A member: names do not select it. */
  "192.0.2.10": ["db.example.org"],
};

export const smallWorld: World = {
  node: {
    name: "edge-1",
    labels: { "reserved:host": "", role: "edge", env: "prod" },
    addresses: ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"].map(address),
  },
  members: [
    {
      name: "db-1",
      labels: { "reserved:remote-node": "", role: "db", env: "prod" },
      addresses: ["192.0.2.10", "2001:db8::10"].map(address),
    },
    {
      name: "web-1",
      labels: { "reserved:remote-node": "", role: "web", env: "dev" },
      addresses: [address("192.0.2.20")],
    },
  ],
  workloads: [
    { endpoint: 1, name: "nginx.service", labels: { app: "nginx", env: "prod" } },
    { endpoint: 2, name: "redis.service", labels: { app: "redis" } },
  ],
  names: (bytes) => namesOf[formatAddress(bytes)] ?? [],
};

/** Peers by the names that tests use; an address stands for itself. */
const peers: Readonly<Record<string, Attempt["peer"]>> = {
  host: { address: address("192.0.2.1") },
  db: { address: address("192.0.2.10") },
  "db-ipv6": { address: address("2001:db8::10") },
  web: { address: address("192.0.2.20") },
  nginx: { address: address("192.0.2.1"), workload: 1 },
  redis: { address: address("192.0.2.1"), workload: 2 },
};
export const peerNames = [
  ...Object.keys(peers),
  ...["203.0.113.5", "203.0.113.6", "2001:db8:9::7", "10.1.2.3", "10.96.0.1", "8.8.8.8", "2001:db8:8::8"],
];
export const endpointNames = { node: 0, nginx: 1, redis: 2 } as const;
export type EndpointName = keyof typeof endpointNames;

/**
 * `node < db tcp/80`: the node is asked by db; `nginx > 10.1.2.3 icmp/8`: nginx asks. Without a port it is unknown.
 */
export function attemptOf(text: string): Attempt {
  const [endpoint = "", arrow, peer = "", what = ""] = text.split(" ");
  const [protocol = "", port] = what.split("/");
  const direction: Direction = arrow === "<" ? "ingress" : "egress";
  const number = protocolNumber(protocol);
  if (!(endpoint in endpointNames) || number === undefined) throw new TypeError(`${text} is no attempt`);
  return {
    endpoint: endpointNames[endpoint as EndpointName],
    direction,
    peer: peers[peer] ?? { address: address(peer) },
    protocol: number,
    port: port === undefined ? undefined : Number(port),
  };
}

/** What the tests' named ports stand for. */
export const testPorts = namedPorts(
  { web: 8080, dns: "53/udp" },
  "http 80/tcp www\nhttps 443/tcp\nhttps 443/udp\ndomain 53/tcp\ndomain 53/udp\n",
);

/** @throws Error with all problems of the text. */
export function readPolicies(text: string): { set: PolicySet; documents: readonly PolicyDocument[] } {
  const { policies, groups, problems } = parsePolicies([{ name: "test.yaml", content: text }], testPorts);
  const wrong = problems.filter(({ severity }) => severity !== "warning");
  if (wrong.length > 0) throw new Error(wrong.map(describeProblem).join("\n"));
  return { set: assemble(policies, groups).set, documents: policies };
}

/** A clusterwide policy around a spec, indented by nothing. */
export function clusterwide(spec: string, name = "test"): string {
  const indented = spec.replace(/^/gm, "  ");
  return `apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata:\n  name: ${name}\nspec:\n${indented}\n`;
}
