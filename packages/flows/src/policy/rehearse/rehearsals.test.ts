/** What is said of an answer's worth: hours, workloads that were not met, the policies that it is of. */
import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { parseAddress } from "../../address.ts";
import { testFlow, testProcess } from "../../testing/flows.ts";
import { compilerHere } from "../compiler/compiler.ts";
import { policyConfigSchema } from "../config.ts";
import { createReader } from "../documents.ts";
import { smallWorld } from "../testing/small-world.ts";
import { rehearsalOf, type Surroundings } from "./rehearsals.ts";
import { replayEnded, serveReplays } from "./replays.ts";
import { rehearseBodySchema } from "./schema.ts";
import { netns, type Recorded, randomFlows, recordedFlows, trafficMs } from "./testing/random-traffic.ts";
import { recordedIn } from "./testing/recorded-in.ts";

const signal = new AbortController().signal;
const config = policyConfigSchema.parse({});
const policy = (name: string, endpoints: string, port: number): string => `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: ${name}}
spec: {endpointSelector: ${endpoints}, egress: [{toPorts: [{ports: [{port: "${port}"}]}]}]}
`;

function surroundings({ history }: Recorded, more: Partial<Surroundings> = {}): Surroundings {
  return {
    config,
    compiler: compilerHere(config),
    recorded: recordedIn(history),
    documents: [],
    world: { ...smallWorld, workloads: [] },
    nowMs: trafficMs + 3_600_000,
    netns,
    ...more,
  };
}

const body = (text: string, more: object = {}) =>
  rehearseBodySchema.parse({ since: "2h", files: [{ name: "test.yaml", text }], ...more });

const web = testProcess({ comm: "nginx", cgroup: null, unit: "nginx.service" });
const https = (unit: string) => testFlow({ netns, process: { ...web, unit }, start: iso(1), end: iso(2) });
function iso(seconds: number): string {
  return new Date(trafficMs + seconds * 1000).toISOString();
}

test("workloads that run and were not met are told, and whether the policies select them", async () => {
  using recorded = recordedFlows([https("nginx.service")]);
  const workloads = ["nginx.service", "other.service", "quiet.service", "session-1.scope"].map(
    (unit, index) => ({ endpoint: index + 7, name: unit, labels: { unit } }),
  );
  const { unseen, judged, denied } = await rehearsalOf(
    surroundings(recorded, { world: { ...smallWorld, workloads } }),
    body(policy("a", "{matchLabels: {unit: quiet.service}}", 443)),
    signal,
  );
  expect(unseen).toEqual([
    { name: "other.service", selected: false },
    { name: "quiet.service", selected: true },
  ]);
  expect([judged, denied]).toEqual([1, 0]);
});

test("a workload's policy is asked of its flows alone", async () => {
  using recorded = recordedFlows([
    https("nginx.service"),
    { ...https("cron.service"), id: "2" },
    { ...https("cron.service"), id: "3" },
  ]);
  const rehearsal = await rehearsalOf(
    surroundings(recorded),
    body(policy("a", "{matchLabels: {unit: cron.service}}", 80)),
    signal,
  );
  expect(rehearsal).toMatchObject({ judged: 3, denied: 2 });
  expect(rehearsal.groups).toMatchObject([
    {
      ...{ policy: "default/a", path: "spec.egress", decision: "deny", endpoint: "cron.service" },
      ...{ direction: "egress", peer: { ip: "192.0.2.9", name: "example.org" }, protocol: "tcp", port: 443 },
      ...{ process: "nginx", unit: "cron.service", flows: 2 },
    },
  ]);
});

test("loopback is judged where management does not keep it reachable", async () => {
  const local = testFlow({
    ...{ netns, place: "loopback", start: iso(1), end: iso(2), process: web },
    source: { ip: "127.0.0.1", port: 40_000, name: null },
    destination: { ip: "127.0.0.1", port: 5432, name: null },
    peerProcess: testProcess({ comm: "postgres", cgroup: null, unit: "postgresql.service" }),
  });
  using recorded = recordedFlows([local]);
  const world = { ...smallWorld, workloads: [] };
  const judge = async (text: string, more: object) => {
    const { judged, groups, unasked } = await rehearsalOf(
      surroundings(recorded, { world }),
      body(text, more),
      signal,
    );
    return { judged, loopback: unasked.loopback, groups };
  };
  const outward = policy("a", "{matchLabels: {unit: nginx.service}}", 443);
  expect(await judge(outward, {})).toEqual({ judged: 0, loopback: 1, groups: [] });
  const without = { management: false };
  expect(await judge(outward, without)).toMatchObject({
    ...{ judged: 1, loopback: 0 },
    groups: [{ endpoint: "nginx.service", direction: "egress", port: 5432, process: "nginx" }],
  });
  const inward = policy("a", "{matchLabels: {unit: postgresql.service}}", 443).replace("egress", "ingress");
  expect(await judge(inward, without)).toMatchObject({
    groups: [{ endpoint: "postgresql.service", direction: "ingress", port: 5432, process: "postgres" }],
  });
  const allowed = inward.replace("443", "5432");
  expect(await judge(allowed, without)).toEqual({ judged: 1, loopback: 0, groups: [] });
});

test("addresses that names gave count, and it is said how names were known", async () => {
  const to = (id: string, ip: string, name: string | null) => ({
    ...https("nginx.service"),
    ...{ id, destination: { ip, port: 443, name } },
  });
  using recorded = recordedFlows([
    to("1", "198.18.0.9", "api.example.org"),
    to("2", "198.18.0.10", null),
    to("3", "198.18.0.11", null),
  ]);
  const text = policy("a", "{}", 443).replace(
    "[{toPorts",
    "[{toFQDNs: [{matchName: api.example.org}], toPorts",
  );
  const judge = async (known: Surroundings["known"]) => {
    const { denied, names } = await rehearsalOf(
      surroundings(recorded, known === undefined ? {} : { known }),
      body(text),
      signal,
    );
    return { denied, names };
  };
  const address = parseAddress("198.18.0.10") as Uint8Array;
  expect(await judge([])).toEqual({
    ...{ denied: 2, names: { recorded: 1, known: 0, unknown: 2, addresses: 0 } },
  });
  expect(await judge([{ address, names: ["api.example.org"] }])).toEqual({
    ...{ denied: 1, names: { recorded: 1, known: 1, unknown: 1, addresses: 1 } },
  });
  const { names } = await rehearsalOf(surroundings(recorded), body(policy("a", "{}", 443)), signal);
  expect(names).toBe(null);
});

test("the time that was asked for and the hours of it that were recorded", async () => {
  using recorded = recordedFlows(randomFlows(seededRandom(2), smallWorld, 360));
  const { asked, hours, covers } = await rehearsalOf(
    surroundings(recorded),
    body(policy("a", "{}", 443)),
    signal,
  );
  expect(asked).toEqual({ from: iso(-3600), to: iso(3600) });
  expect(covers).toMatchObject({ from: iso(0), to: iso(4.6) });
  expect(hours).toBeCloseTo(4.6 / 3600);
});

test("given documents stand in the place of those that are applied, unless they are asked for alone", async () => {
  using recorded = recordedFlows([https("nginx.service")]);
  const documents = createReader(config).read(
    [{ name: "stored.yaml", text: `${policy("stored", "{}", 443)}---\n${policy("a", "{}", 22)}` }],
    { audit: false, appliedMs: 0 },
  );
  const denied = async (text: string, more: object = {}): Promise<number> =>
    (await rehearsalOf(surroundings(recorded, { documents }), body(text, more), signal)).denied;
  expect(await denied(policy("a", "{}", 80))).toBe(0);
  expect(await denied(policy("a", "{}", 80), { alone: true })).toBe(1);
  expect(await denied(policy("stored", "{}", 80))).toBe(1);
});

test("a replay ends when it is told to, also one that waits for its turn", async () => {
  using recorded = recordedFlows(randomFlows(seededRandom(2), smallWorld, 300));
  const calls = serveReplays(() => recorded.history);
  const range = { sinceMs: 0, untilMs: Number.MAX_SAFE_INTEGER };
  const replays = [1, 2, 3].map((id) => calls.recordedOwners({ id, ...range }));
  await calls.stopReplay(1);
  await calls.stopReplay(2);
  const [first, second, third] = await Promise.allSettled(replays);
  expect([first?.status, second?.status, third?.status]).toEqual(["rejected", "rejected", "fulfilled"]);
  expect(first).toMatchObject({ reason: { code: replayEnded().code } });
});
