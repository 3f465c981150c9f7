/** What a live agent's `/metrics` says after traffic of known size, in both formats. */
import { expect, test, vi } from "vitest";
import { type Family, parseExposition } from "../packages/telemetry/src/testing/exposition.ts";
import {
  type Agent,
  createNamespace,
  ping,
  requireKernel,
  route,
  startAgent,
  tcpTraffic,
  udpTraffic,
} from "./lab/index.ts";

const formats = {
  text: "text/plain",
  openmetrics: "application/openmetrics-text; version=1.0.0",
} as const;

const metricsOf = async (agent: Agent, format: keyof typeof formats): Promise<Map<string, Family>> =>
  parseExposition(await agent.text("/metrics", { accept: formats[format] }), format);

/** The value of each series of a metric, by its labels' values. */
function series(families: Map<string, Family>, name: string): Record<string, number> {
  // In OpenMetrics the family of a counter goes without the suffix of its samples.
  const family = families.get(name) ?? families.get(name.replace(/_total$/, ""));
  const samples = family?.samples ?? [];
  return Object.fromEntries(samples.map(({ labels, value }) => [Object.values(labels).join(" "), value]));
}

const sum = (values: Record<string, number>): number =>
  Object.values(values).reduce((total, value) => total + value, 0);

test("packets, bytes and flows grow by exactly what was sent, by direction, protocol and place", async (context) => {
  await requireKernel(context, "netns", "nftables", "bpf", "btf");
  await using left = await createNamespace();
  await using router = await createNamespace();
  await using right = await createNamespace();
  const ends = await route(left, router, right, { offloads: false });
  const [, own] = ends.left;
  const [beyond] = ends.right;
  await using agent = await startAgent({ places: router });
  await agent.observes(3);
  const links = async () => {
    const [lo, left0, right0] = await Promise.all(["lo", "left0", "right0"].map((name) => router.link(name)));
    return { lo, left0, right0 } as Record<string, Awaited<ReturnType<typeof router.link>>>;
  };
  const before = await links();

  const local = { sender: left, receivers: [router], host: own.ipv4, sizeBytes: 100 };
  await udpTraffic({ ...local, count: 20, echo: true });
  await udpTraffic({ ...local, receivers: [right], host: beyond.ipv6, count: 11 });
  await udpTraffic({ ...local, sender: router, host: "127.0.0.1", count: 9 });
  await ping(left, { host: own.ipv4, count: 5 });
  await ping(router, { host: own.ipv6, count: 3 });
  await ping(left, { host: beyond.ipv6, count: 4 });
  await tcpTraffic({
    client: router,
    server: right,
    host: beyond.ipv4,
    requestBytes: 50_000,
    writeBytes: 1000,
  });

  const after = await links();
  const grown = (name: string, way: "received" | "sent"): number =>
    (after[name]?.[way].packets ?? 0) - (before[name]?.[way].packets ?? 0);
  const packets = {
    "ingress udp local": 20,
    "egress udp local": 20,
    "ingress udp forwarded": 11,
    "egress udp loopback": 9,
    "ingress icmp local": 5,
    "egress icmp local": 5,
    "egress icmpv6 loopback": 6,
    "ingress icmpv6 forwarded": 8,
    "egress tcp local": grown("right0", "sent") - 11 - 4,
    "ingress tcp local": grown("right0", "received") - 4,
  };
  const check = async (format: keyof typeof formats): Promise<void> => {
    const families = await metricsOf(agent, format);
    expect(series(families, "x0tta6bl4_flows_packets_total")).toEqual(packets);
    expect(series(families, "x0tta6bl4_flows_bytes_total")).toMatchObject({
      "ingress udp local": 20 * 128,
      "ingress udp forwarded": 11 * 148,
      "egress udp loopback": 9 * 128,
      "egress icmpv6 loopback": 6 * 104,
    });
    expect(sum(series(families, "x0tta6bl4_flows_total"))).toBe(7);
    const events = series(families, "x0tta6bl4_flows_program_events_total");
    // Nothing was segmented: a packet is one event of the program that counts it, or passes it on.
    expect(events["ingress"]).toBeGreaterThanOrEqual(
      grown("left0", "received") + grown("right0", "received"),
    );
    for (const program of ["egress", "socket", "connect", "connection"])
      expect(events[program]).toBeGreaterThan(0);
    for (const lost of ["program_lost", "ring_lost_events", "lost_packets", "lost_bytes", "insert_failures"])
      expect(sum(series(families, `x0tta6bl4_flows_${lost}_total`))).toBe(0);
    expect(sum(series(families, "x0tta6bl4_flows_malformed_packets_total"))).toBe(0);
  };
  await vi.waitFor(() => check("text"), 10_000);
  // And a read later still: nothing is counted twice.
  const read = await readings(agent);
  await vi.waitFor(async () => expect(await readings(agent)).toBeGreaterThan(read + 1), 10_000);
  await check("text");
  await check("openmetrics");
});

test("the agent tells its own processor time, memory and event-loop delay", async () => {
  await using agent = await startAgent({ settings: ["flows.enabled=false"] });
  const cpu = async (): Promise<number> =>
    sum(series(await metricsOf(agent, "text"), "x0tta6bl4_node_cpu_seconds_total"));
  const first = await cpu();
  expect(first).toBeGreaterThan(0);
  await vi.waitFor(async () => expect(await cpu()).toBeGreaterThan(first), 10_000);
  const families = await metricsOf(agent, "openmetrics");
  const resident = sum(series(families, "x0tta6bl4_node_resident_memory_bytes"));
  expect(resident).toBeGreaterThan(20e6);
  expect(resident).toBeLessThan(500e6);
  const delays = series(families, "x0tta6bl4_node_event_loop_delay_seconds");
  expect(Object.keys(delays)).toEqual(["p50", "p99", "max"]);
  for (const delay of Object.values(delays)) expect(delay).toBeGreaterThanOrEqual(0);
  expect(Object.keys(series(families, "x0tta6bl4_build_info"))).toEqual([
    expect.stringContaining(process.versions.node),
  ]);
});

/** How often the kernel's figures have been read. */
async function readings(agent: Agent): Promise<number> {
  const { points } = await agent.get<{ points: unknown[] }>("/api/v1/flows/totals");
  return points.length;
}
