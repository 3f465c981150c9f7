/** What is suggested allows what was recorded, all of it, and needs each of its rules for that. */
import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { parseAddress } from "../../address.ts";
import type { Flow } from "../../flow.ts";
import { testFlow, testProcess } from "../../testing/flows.ts";
import { compile } from "../compile/compile.ts";
import { policyConfigSchema } from "../config.ts";
import { createReader } from "../documents.ts";
import type { PolicySet, World } from "../model.ts";
import { randomWorld } from "../testing/random-cases.ts";
import { smallWorld } from "../testing/small-world.ts";
import type { Owner } from "../workloads/name.ts";
import { workloadLabels } from "../workloads/registry.ts";
import type { Needs, Rehearsed } from "./contract.ts";
import { recordedNeeds } from "./recorded-needs.ts";
import { recordedOwners } from "./recorded-owners.ts";
import { rehearse } from "./rehearse.ts";
import { type SuggestOptions, suggest } from "./suggest.ts";
import { netns, type Recorded, randomFlows, recordedFlows, trafficMs } from "./testing/random-traffic.ts";
import { allWorkloads } from "./workloads.ts";

const signal = new AbortController().signal;
const range = { id: 1, sinceMs: trafficMs, untilMs: trafficMs + 3_600_000, netns };
const labelsOf = (owner: Owner) => workloadLabels(owner, given);
/** As the configuration gives them. */
const given = [
  { container: "aaaa*", labels: { app: "shop" } },
  { unit: "worker@*", labels: { app: "worker" } },
  { unit: "worker-main.service", labels: { app: "worker" } },
];
const exact: SuggestOptions = { widening: { ipv4: 32, ipv6: 128 }, resolvers: [], labelsOf };
const reader = createReader(policyConfigSchema.parse({}));

const nodesOf = ({ node, members }: World) => [node, ...members].flatMap(({ addresses }) => addresses);

function needsOf({ history }: Recorded, world: World, publicAddresses = 3): Promise<Needs> {
  return recordedNeeds(history, { ...range, nodes: nodesOf(world), limits: { publicAddresses } }, signal);
}

function setOf(yaml: string): PolicySet {
  const documents = reader.read([{ name: "suggested.yaml", text: yaml }], { audit: false, appliedMs: 0 });
  return reader.setOf(documents);
}

async function check({ history }: Recorded, world: World, set: PolicySet): Promise<Rehearsed> {
  const workloads = allWorkloads(world.workloads, await recordedOwners(history, range, signal), labelsOf);
  const tables = compile(set, { ...world, workloads }, undefined);
  const request = { ...range, judgeLoopback: false, known: [], nodes: nodesOf(world) };
  return rehearse(history, { ...request, tables, workloads, top: 10 }, signal);
}

/** As `worldOf` labels nodes. */
function labelled(world: World): World {
  const name = (node: World["node"]): World["node"] => ({
    ...node,
    labels: { ...node.labels, "kubernetes.io/hostname": node.name },
  });
  return { ...world, node: name(world.node), members: world.members.map(name), workloads: [] };
}

/** The set without one rule of it, for each rule. */
function* withoutEach({ policies }: PolicySet): Iterable<{ readonly path: string; readonly set: PolicySet }> {
  for (const policy of policies)
    for (const spec of policy.specs)
      for (const direction of ["ingress", "egress"] as const)
        for (const rule of spec[direction]?.rules ?? []) {
          const section = spec[direction] as NonNullable<(typeof spec)[typeof direction]>;
          const less = { ...section, rules: section.rules.filter((one) => one !== rule) };
          const specs = policy.specs.map((one) => (one === spec ? { ...spec, [direction]: less } : one));
          const others = policies.map((one) => (one === policy ? { ...policy, specs } : one));
          yield { path: `${policy.name} ${rule.path}`, set: { policies: others } };
        }
}

test("of random traffic nothing is denied, and no rule can be spared", async () => {
  const random = seededRandom(21);
  let rules = 0;
  for (let round = 0; round < 14; round++) {
    const world = labelled(randomWorld(random));
    const ports = [22, 53, 443].slice(0, 1 + random.below(3));
    const units = {
      ...world,
      workloads: [1, 2].map((n) => ({ endpoint: n, name: `u${n}.service`, labels: {} })),
    };
    using recorded = recordedFlows(randomFlows(random, units, 10 + random.below(300), ports));
    const { yaml, documents } = suggest(await needsOf(recorded, world), world, exact);
    const set = setOf(yaml);
    const { counts } = await check(recorded, world, set);
    expect(counts.judged).toBeGreaterThan(0);
    expect(counts.denied, yaml).toBe(0);
    for (const less of withoutEach(set)) {
      rules++;
      const { counts: lacking } = await check(recorded, world, less.set);
      expect(lacking.denied, `${less.path} of\n${yaml}`).toBeGreaterThan(0);
    }
    const nodes = documents.find(({ subject }) => subject.kind === "node");
    expect(nodes?.sections.length).toBe(2);
  }
  expect(rules).toBeGreaterThan(150);
}, 120_000);

test("the order of flows does not matter, and the same history gives the same text", async () => {
  const random = seededRandom(8);
  const flows = randomFlows(random, smallWorld, 300);
  const order = flows.map((flow) => ({ flow, at: random.next() })).sort((a, b) => a.at - b.at);
  using recorded = recordedFlows(flows);
  using shuffled = recordedFlows(order.map(({ flow }) => flow));
  const world = labelled(smallWorld);
  const text = async (of: Recorded): Promise<string> => suggest(await needsOf(of, world), world, exact).yaml;
  expect(await text(shuffled)).toBe(await text(recorded));
  expect(await text(recorded)).toBe(await text(recorded));
});

test("each rule says how many flows it allows", async () => {
  const random = seededRandom(9);
  const world = labelled(smallWorld);
  using recorded = recordedFlows(randomFlows(random, smallWorld, 400));
  const needs = await needsOf(recorded, world);
  const { yaml, documents } = suggest(needs, world, exact);
  const set = setOf(yaml);
  for (const less of withoutEach(set)) {
    const [policy, path] = less.path.split(" ") as [string, string];
    const [direction, index] = [path.includes("egress"), Number(/\[(\d+)\]/.exec(path)?.[1])];
    const told = documents
      .find(({ name }) => name === policy)
      ?.sections.find(({ isEgress }) => isEgress === direction)?.rules[index]?.flows;
    const lost = (await check(recorded, world, less.set)).counts.denied;
    // What other rules allow as well is told of each of them.
    expect(told).toBeGreaterThanOrEqual(lost);
    expect(lost, `${less.path} of\n${yaml}`).toBeGreaterThan(0);
  }
  expect(needs.flows).toBe((await check(recorded, world, set)).counts.judged);
});

let lastId = 0;
function flow(given: Partial<Flow>): Flow {
  const start = new Date(trafficMs + ++lastId * 1000).toISOString();
  return testFlow({ id: String(lastId), start, end: start, netns, process: null, ...given });
}
const outward = (ip: string, port: number, name: string | null = null, given: Partial<Flow> = {}): Flow =>
  flow({
    source: { ip: "192.0.2.1", port: 50_000, name: null },
    destination: { ip, port, name },
    direction: "egress",
    ...given,
  });
const inward = (ip: string, port: number, given: Partial<Flow> = {}): Flow =>
  flow({
    source: { ip, port: 50_000, name: null },
    destination: { ip: "192.0.2.1", port, name: null },
    direction: "ingress",
    ...given,
  });

async function rulesOf(flows: readonly Flow[], options = exact, publicAddresses = 3): Promise<string> {
  using recorded = recordedFlows(flows);
  const world = labelled(smallWorld);
  const { yaml } = suggest(await needsOf(recorded, world, publicAddresses), world, options);
  expect((await check(recorded, world, setOf(yaml))).counts.denied).toBe(0);
  const body = yaml.slice(yaml.indexOf("spec:"));
  return body.replace(/ {4}# .*\n/g, "").replace(/\s+/g, " ");
}

test("a rule tells its last flow, in whatever order flows come", async () => {
  const flows = [1, 2, 3].map(() => inward("203.0.113.5", 443));
  const [first, second, third] = flows as [Flow, Flow, Flow];
  using recorded = recordedFlows([first, third, second]);
  const world = labelled(smallWorld);
  const { yaml } = suggest(await needsOf(recorded, world), world, exact);
  expect(yaml).toContain(`# 3 flows, the last at ${third.end}\n    - fromCIDR:`);
});

test("addresses of a whole prefix are one, others stay apart", async () => {
  const hosts = [0, 1, 2, 3, 5];
  const text = await rulesOf(hosts.map((host) => outward(`203.0.113.${host}`, 443)));
  expect(text).toContain('toCIDR: - "203.0.113.0/30" - "203.0.113.5/32" toPorts');
});

test("addresses are widened only when that is asked for", async () => {
  const flows = [outward("203.0.113.9", 443), outward("2001:db8:5::9", 443)];
  const widening = { ipv4: 24, ipv6: 64 };
  expect(await rulesOf(flows)).toContain('- "203.0.113.9/32" - "2001:db8:5::9/128"');
  expect(await rulesOf(flows, { ...exact, widening })).toContain('- "203.0.113.0/24" - "2001:db8:5::/64"');
});

test("a service that many of the world use is open to the world, one that few use is not", async () => {
  const clients = (count: number) =>
    Array.from({ length: count }, (_, host) => inward(`203.0.113.${host}`, 443));
  expect(await rulesOf(clients(4))).toContain("fromEntities: - world-ipv4 toPorts");
  expect(await rulesOf(clients(3))).toContain('fromCIDR: - "203.0.113.0/31" - "203.0.113.2/32"');
  expect(
    await rulesOf([...clients(4), ...[1, 2, 3, 4].map((n) => inward(`2001:db8:5::${n}`, 443))]),
  ).toContain("fromEntities: - world toPorts");
});

test("members are known by a label that only they share, else by their names", async () => {
  const [db, web] = ["192.0.2.10", "192.0.2.20"];
  expect(await rulesOf([outward(db, 5432)])).toContain('toNodes: - matchLabels: "role": "db"');
  expect(await rulesOf([outward(db, 5432), outward(web, 5432)])).toContain(
    'toNodes: - matchExpressions: - key: "kubernetes.io/hostname" operator: In values: - "db-1" - "web-1"',
  );
});

test("names that DNS gave stand for their addresses, and need their resolver", async () => {
  const resolver = parseAddress("192.0.2.53") as Uint8Array;
  const asked = outward("192.0.2.53", 53, "dns.example.org", { protocol: "udp" });
  const named = outward("203.0.113.80", 443, "www.example.org");
  const withDns = await rulesOf([named, asked], { ...exact, resolvers: [resolver] });
  expect(withDns).toContain('toFQDNs: - matchName: "www.example.org"');
  // Its own name would have to be asked of it first.
  expect(
    withDns.match(/toCIDR: - "192.0.2.53\/32" toPorts: - ports: - port: "53" protocol: UDP/g),
  ).toHaveLength(1);
  const without = await rulesOf([named], { ...exact, resolvers: [resolver] });
  expect(without).toContain('- "192.0.2.53/32" toPorts: - ports: - port: "53" protocol: TCP');
});

test("a name is spared where its only address is allowed anyway", async () => {
  const flows = [outward("203.0.113.80", 443, "www.example.org"), outward("203.0.113.80", 443)];
  expect(await rulesOf(flows)).not.toContain("toFQDNs");
});

test("services of the same peers share a rule; ports beside each other are a range", async () => {
  const text = await rulesOf([80, 8080, 8081, 8082].map((port) => inward("203.0.113.5", port)));
  expect(text).toContain(
    'ingress: - fromCIDR: - "203.0.113.5/32" toPorts: - ports: - port: "80" protocol: TCP - port: "8080" endPort: 8082 protocol: TCP',
  );
});

test("ICMP by its types, what has no rules of its own by a rule for everything", async () => {
  const ping = { protocol: "icmp", icmp: { type: 8, code: 0, id: 7 } };
  expect(await rulesOf([inward("203.0.113.5", 0, ping)])).toContain("icmps: - fields: - type: 8");
  const text = await rulesOf([
    outward("203.0.113.5", 0, null, { protocol: "gre" }),
    outward("203.0.113.5", 22),
  ]);
  expect(text).toContain('egress: - toCIDR: - "203.0.113.5/32"');
  expect(text).not.toContain("toPorts");
});

test("a direction without a flow is closed", async () => {
  expect(await rulesOf([outward("203.0.113.5", 443)])).toContain("enableDefaultDeny: ingress: true");
});

test("workloads get documents of their own; sessions do not", async () => {
  const unit = (name: string) => ({ process: testProcess({ comm: "x", cgroup: null, unit: name }) });
  const id = "0123456789abcdef".repeat(4);
  using recorded = recordedFlows([
    inward("203.0.113.5", 80, unit("nginx.service")),
    inward("203.0.113.6", 80, {
      process: testProcess({ cgroup: null, unit: "docker.service", container: id }),
    }),
    inward("203.0.113.7", 22, unit("session-5.scope")),
  ]);
  const world = labelled(smallWorld);
  const { documents } = suggest(await needsOf(recorded, world), world, exact);
  expect(documents.map(({ name, subject }) => [name, subject.labels])).toEqual([
    ["suggested-node-edge-1", { "kubernetes.io/hostname": "edge-1" }],
    ["suggested-workload-0123456789ab", { name: "0123456789ab" }],
    ["suggested-workload-nginx.service", { unit: "nginx.service" }],
  ]);
});

test("labels of the configuration select workloads where nobody else has them", async () => {
  const inside = (container: string | null, unit: string | null = null) => ({
    process: testProcess({ comm: "x", cgroup: null, unit, container }),
  });
  using recorded = recordedFlows([
    inward("203.0.113.5", 80, inside("aaaa".repeat(16))),
    inward("203.0.113.6", 81, inside(`aaaa${"b".repeat(60)}`)),
    inward("203.0.113.7", 82, inside(null, "worker-main.service")),
    // No policy can be written for it, by its own name or by a label that it shares.
    inward("203.0.113.8", 83, inside(null, "worker@1.service")),
  ]);
  const world = labelled(smallWorld);
  const { documents, yaml } = suggest(await needsOf(recorded, world), world, exact);
  expect(documents.map(({ subject }) => subject.labels)).toEqual([
    { "kubernetes.io/hostname": "edge-1" },
    { app: "shop" },
    { unit: "worker-main.service" },
  ]);
  expect((await check(recorded, world, setOf(yaml))).counts.denied).toBe(0);
  const shop = setOf(yaml.replaceAll(/port: "8[01]"/g, 'port: "99"'));
  expect((await check(recorded, world, shop)).counts.denied).toBe(2);
});

test("a process in a cgroup of no policy has that of the one around it, as the kernel side has it", async () => {
  const manager = "/user.slice/user-5.slice/user-5.service";
  const within = (path: string) => ({
    process: testProcess({ comm: "x", cgroup: path, unit: "app-1.scope" }),
  });
  using recorded = recordedFlows([
    inward("203.0.113.5", 80, within(`${manager}/app.slice/app-1.scope`)),
    inward("203.0.113.6", 80, within("/user.slice/app-2.scope")),
  ]);
  const world = labelled(smallWorld);
  const { documents, yaml } = suggest(await needsOf(recorded, world), world, exact);
  expect(documents.map(({ subject }) => subject.labels)).toEqual([
    { "kubernetes.io/hostname": "edge-1" },
    { unit: "user-5.service" },
  ]);
  expect((await check(recorded, world, setOf(yaml))).counts.denied).toBe(0);
  const [of] = (await check(recorded, world, setOf(yaml.replaceAll('"80"', '"81"')))).groups;
  expect(of?.flows).toBe(1);
});

test("what came to nothing is left out, and said", async () => {
  const scan = { tcpFlags: ["SYN"], packets: { sent: 1, received: 0 } };
  using recorded = recordedFlows([
    inward("203.0.113.5", 80),
    inward("203.0.113.66", 23, {
      ...scan,
      process: testProcess({ comm: "x\n  evil: true\u0085", cgroup: null, unit: null }),
    }),
    outward("203.0.113.9", 8125, null, { protocol: "udp", tcpFlags: [], packets: { sent: 1, received: 0 } }),
  ]);
  const world = labelled(smallWorld);
  const { yaml } = suggest(await needsOf(recorded, world), world, exact);
  expect(yaml).not.toContain("203.0.113.66");
  expect(yaml).toContain("# Left out are 2 flows that came to nothing");
  expect(yaml).toContain("1 × egress, udp port 8125");
  // What strangers name stays within its comment.
  expect(yaml).toContain("evil: true");
  expect(setOf(yaml).policies).toHaveLength(1);
});
