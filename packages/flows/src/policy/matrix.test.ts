import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { formatAddress, parseAddress } from "../address.ts";
import { inPrefix, parseAddressPrefix } from "../filter.ts";
import { identify } from "./evaluate.ts";
import { evaluateManaged } from "./managed.ts";
import { type Matrix, matrixOf } from "./matrix.ts";
import { type Attempt, type Direction, NODE_ENDPOINT, policyProtocols, type World } from "./model.ts";
import { randomAttempts, randomCase } from "./testing/random-cases.ts";
import { clusterwide, readPolicies, smallWorld } from "./testing/small-world.ts";

const management = { id: 1, ports: [{ protocol: 6, port: 22 }], sources: [] };

/** Rows of words: who, then one letter a column; the first row has the columns. */
function drawn(spec: string, direction: Direction = "ingress", endpoint = 0): string[] | undefined {
  const { set } = readPolicies(clusterwide(spec));
  const matrix = matrixOf(set, smallWorld, { endpoint, direction, management });
  if (matrix === undefined) return undefined;
  const head = matrix.ports.map(({ protocol, first, last, isRest }) =>
    isRest ? `${protocol ?? "all"}/*` : `${protocol}/${first}${first === last ? "" : `-${last}`}`,
  );
  const letters = { allow: "a", audit: "u", deny: "d" };
  const rows = matrix.peers.map(
    ({ name }, at) => `${name}: ${matrix.cells[at]?.map(({ decision }) => letters[decision]).join("")}`,
  );
  return [head.join(" "), ...rows];
}

test("ports are cut where rules cut, peers are whoever rules tell apart", () => {
  expect(
    drawn(`endpointSelector: {}
ingress:
- fromEndpoints: [{matchLabels: {role: db}}]
  toPorts: [{ports: [{port: "80", endPort: 90}]}]
- fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]
  toPorts: [{ports: [{port: "85", protocol: TCP}]}]
- fromEntities: [world-ipv6]
  icmps: [{fields: [{family: IPv6, type: EchoRequest}]}]
ingressDeny:
- fromCIDR: [10.2.0.0/16]`),
  ).toEqual([
    "tcp/22 tcp/80-84 tcp/85 tcp/86-90 udp/80-90 icmpv6/128 sctp/80-90 all/*",
    "db-1: aaaaadad",
    "web-1: addddddd",
    "10.0.0.0/8: adaddddd",
    "10.1.0.0/16: addddddd",
    "10.2.0.0/16: addddddd",
    "world, IPv4: addddddd",
    "world, IPv6: addddadd",
  ]);
});

test("families of the world that fare alike are one row, and what no rule tells apart has no column", () => {
  expect(drawn("endpointSelector: {}\ningress: [{fromEntities: [world]}]")).toEqual([
    "tcp/22 all/*",
    "db-1: ad",
    "web-1: ad",
    "world: aa",
  ]);
});

test("names are rows of their own; workloads meet this host and each other", () => {
  const spec = `endpointSelector: {matchLabels: {app: nginx}}
egress:
- toEntities: [host]
- toFQDNs: [{matchPattern: "*.example.org"}]
  toPorts: [{ports: [{port: "443", protocol: TCP}]}]`;
  expect(drawn(spec, "egress", 1)).toEqual([
    "tcp/443 all/*",
    "edge-1: aa",
    "redis.service: aa",
    "db-1: dd",
    "web-1: dd",
    "*.example.org: ad",
    "world: dd",
  ]);
  expect(drawn(spec, "egress")).toBe(undefined);
  expect(drawn(spec, "ingress", 1)).toBe(undefined);
});

test("addresses that a name gave are its row's, apart where other rules select them too", () => {
  const spec = `endpointSelector: {}
egress:
- toFQDNs: [{matchName: api.example.org}]
  toPorts: [{ports: [{port: "443", protocol: TCP}]}]
egressDeny:
- toCIDR: [198.51.100.0/24, 203.0.113.9/32]`;
  const { set } = readPolicies(clusterwide(spec));
  const known = ["192.0.2.7", "198.51.100.8", "203.0.113.9"].map((ip) => ({
    address: parseAddress(ip) as Uint8Array,
    names: ["api.example.org"],
  }));
  const matrix = matrixOf(set, smallWorld, { endpoint: 0, direction: "egress", management, known });
  const rows = matrix?.peers.map(({ name, prefixes }, at) => [
    name,
    prefixes,
    matrix.cells[at]?.map(({ decision }) => decision),
  ]);
  expect(rows?.slice(2)).toEqual([
    ["198.51.100.0/24", ["198.51.100.0/24"], ["deny", "deny"]],
    ["203.0.113.9/32", ["203.0.113.9/32"], ["deny", "deny"]],
    ["api.example.org", ["192.0.2.7/32"], ["allow", "deny"]],
    ["api.example.org", ["198.51.100.8/32", "203.0.113.9/32"], ["deny", "deny"]],
    ["world", ["0.0.0.0/0", "::/0"], ["deny", "deny"]],
  ]);
});

test("what has no room is counted", () => {
  const ports = Array.from({ length: 60 }, (_, index) => `{port: "${2 * index + 1000}", protocol: TCP}`);
  const cidrs = Array.from({ length: 300 }, (_, index) =>
    `10.${index % 200}.${index}.0/24`.replace(/\.(2[5-9]\d|300)\./, ".1."),
  );
  const rules = ports.map(
    (port, at) => `- fromCIDR: [${cidrs.slice(at * 5, at * 5 + 5)}]\n  toPorts: [{ports: [${port}]}]`,
  );
  const { set } = readPolicies(clusterwide(`endpointSelector: {}\ningress:\n${rules.join("\n")}`));
  const matrix = matrixOf(set, smallWorld, { endpoint: 0, direction: "ingress", management });
  expect(matrix?.leftOut.ports).toBe(60 + 2 - 48);
  expect(matrix?.leftOut.peers).toBeGreaterThan(50);
  expect(matrix?.peers.at(-1)).toMatchObject({ kind: "world", prefixes: ["0.0.0.0/0", "::/0"] });
  expect(matrix?.ports.at(-1)).toMatchObject({ protocol: null });
});

const CASES = 150;
const ATTEMPTS = 40;

test(`of ${CASES} random policies, each with ${ATTEMPTS} attempts, every cell says what the evaluator says`, () => {
  let compared = 0;
  for (let seed = 1; seed <= CASES; seed++) {
    const random = seededRandom(seed);
    const { set, world, management: managed } = randomCase(random);
    const attempts = randomAttempts(random, { set, world, management: managed }, ATTEMPTS);
    const known = attempts.flatMap(({ peer: { address } }) => {
      const names = world.names(address);
      return names.length === 0 ? [] : [{ address, names }];
    });
    for (const attempt of attempts) {
      const { endpoint, direction } = attempt;
      const matrix = matrixOf(set, world, { endpoint, direction, management: managed, known });
      const verdict = matrix === undefined ? { decision: "allow", id: 0 } : cellOf(matrix, world, attempt);
      if (verdict === undefined) continue;
      expect([seed, verdict]).toEqual([seed, evaluateManaged(set, world, managed, attempt)]);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan((CASES * ATTEMPTS) / 3);
});

/** Undefined for whom the table has no row of his own: several nodes at one address, hidden ports. */
function cellOf(
  { peers, ports, cells, leftOut }: Matrix,
  world: World,
  { endpoint, peer, protocol, port }: Attempt,
) {
  const own = [world.node, ...world.members, ...world.workloads].flatMap(({ addresses }) => addresses ?? []);
  const isShared = own.filter((one) => Buffer.compare(one, peer.address) === 0).length > 1;
  const { kind } = identify(world, peer);
  if (port === undefined || isShared) return undefined;
  if (kind === "host" && endpoint === NODE_ENDPOINT) return undefined;
  const local = world.workloads.find((one) =>
    peer.workload === undefined
      ? one.addresses?.some((address) => Buffer.compare(address, peer.address) === 0)
      : one.endpoint === peer.workload,
  );
  if (local?.endpoint === endpoint) return undefined;
  // Told by its socket, which only another workload's policy asks for.
  if (peer.workload !== undefined && (endpoint === NODE_ENDPOINT || local?.addresses !== undefined))
    return undefined;
  expect(leftOut).toEqual({ peers: 0, ports: 0 });
  const lengths = peers.map(({ kind: of, name, prefixes }) => {
    if (peer.workload !== undefined)
      return world.workloads.find((one) => one.endpoint === peer.workload)?.name === name && of === "workload"
        ? 1
        : -1;
    const isSomebody = of === "host" || of === "member" || of === "workload";
    if (isSomebody !== (kind !== "world")) return -1;
    const held = prefixes
      .map((text) => parseAddressPrefix(text))
      .filter((prefix) => inPrefix(peer.address, prefix));
    return Math.max(-1, ...held.map(({ prefixBits }) => prefixBits));
  });
  const row = lengths.indexOf(Math.max(...lengths));
  expect(lengths[row], `${formatAddress(peer.address)} has a row`).toBeGreaterThanOrEqual(0);
  const isNamed = (at: number): boolean =>
    ports[at]?.protocol != null && policyProtocols[ports[at].protocol] === protocol;
  const column = ports.findIndex(
    (one, at) => isNamed(at) && !one.isRest && one.first <= port && port <= one.last,
  );
  const rest = ports.findIndex((one, at) => isNamed(at) && one.isRest);
  return cells[row]?.[column >= 0 ? column : rest >= 0 ? rest : ports.length - 1];
}
