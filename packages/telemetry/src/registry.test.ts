import { expect, test } from "vitest";
import { catalogue } from "./catalogue/catalogue.ts";
import { flowsMetrics } from "./catalogue/flows.ts";
import { hubbleMetrics } from "./catalogue/hubble.ts";
import { nodeMetrics } from "./catalogue/node.ts";
import { createRegistry, type Registry } from "./registry.ts";
import { parseExposition } from "./testing/exposition.ts";

const openMetrics = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

function filled(): Registry {
  const registry = createRegistry();
  const traffic = { direction: "egress", protocol: "tcp", place: "local" };
  registry.counter(flowsMetrics.packets).add(traffic, 3);
  registry.counter(flowsMetrics.packets).add(traffic, 4);
  registry.gauge(flowsMetrics.active).set({}, 2);
  registry.gauge(nodeMetrics.buildInfo).set({ version: 'quote " slash \\ line\n', node_version: "24" }, 1);
  const duration = registry.histogram(nodeMetrics.httpDuration);
  for (const seconds of [0.0002, 0.02, 9]) duration.observe({ route: "/metrics", method: "GET" }, seconds);
  return registry;
}

test("the text format says what was counted", async () => {
  const { contentType, body } = await filled().expose();
  expect(contentType).toBe("text/plain; version=0.0.4; charset=utf-8");
  const families = parseExposition(body, "text");
  expect(families.get("x0tta6bl4_flows_packets_total")).toMatchObject({
    type: "counter",
    help: flowsMetrics.packets.help,
    samples: [{ labels: { direction: "egress", protocol: "tcp", place: "local" }, value: 7 }],
  });
  expect(families.get("x0tta6bl4_build_info")?.samples[0]?.labels["version"]).toBe('quote " slash \\ line\n');
  expect(families.get("x0tta6bl4_http_request_duration_seconds")?.samples.at(-1)).toMatchObject({ value: 3 });
});

test("both formats give the same samples, in whatever order they are asked for", async () => {
  const registry = filled();
  const samples = async (accept: string) => {
    const { contentType, body } = await registry.expose(accept);
    const format = contentType.startsWith("application/openmetrics-text") ? "openmetrics" : "text";
    return {
      format,
      samples: [...parseExposition(body, format).values()].flatMap((family) => family.samples),
    };
  };
  const first = await samples(openMetrics);
  const second = await samples("text/plain");
  const third = await samples(openMetrics);
  expect([first.format, second.format]).toEqual(["openmetrics", "text"]);
  expect(second.samples).toEqual(first.samples);
  expect(third).toEqual(first);
});

test.each([
  ["", "text"],
  ["*/*", "text"],
  ["text/plain;version=0.0.4", "text"],
  ["application/openmetrics-text", "openmetrics"],
  [openMetrics, "openmetrics"],
  ["application/openmetrics-text;q=0.2, text/plain;q=0.9", "text"],
  ["application/openmetrics-text;version=2.0.0, */*;q=0.1", "text"],
  ["application/openmetrics-text;q=0", "text"],
])("Accept %j is answered in %s", async (accept, format) => {
  const { contentType } = await createRegistry().expose(accept);
  expect(contentType.includes("openmetrics")).toBe(format === "openmetrics");
});

test("a total that the kernel keeps is taken over and never falls", async () => {
  const registry = createRegistry();
  const counter = registry.counter(flowsMetrics.programEvents);
  for (const total of [5, 12, 12, 3, Number.NaN]) counter.setTotal({ program: "tcx" }, total);
  counter.setTotal({ program: "sockops" }, 0);
  const { body } = await registry.expose();
  const family = parseExposition(body, "text").get(flowsMetrics.programEvents.name);
  expect(family?.samples.map(({ labels, value }) => [labels["program"], value])).toEqual([
    ["tcx", 12],
    ["sockops", 0],
  ]);
});

test("a histogram counted elsewhere reads like one observed here", async () => {
  const [observed, taken] = [createRegistry(), createRegistry()];
  const labels = { route: "/metrics", method: "GET" };
  const bounds = nodeMetrics.httpDuration.buckets;
  const counts = [...bounds.map(() => 0), 0];
  const values = [0.0002, 0.02, 0.02, bounds[3] as number, 1e6];
  for (const value of values) {
    observed.histogram(nodeMetrics.httpDuration).observe(labels, value);
    const bucket = bounds.findIndex((bound) => value <= bound);
    counts[bucket < 0 ? bounds.length : bucket]! += 1;
  }
  const sum = values.reduce((total, value) => total + value, 0);
  taken.histogram(nodeMetrics.httpDuration).setTotals(labels, counts, sum);
  for (const accept of ["", openMetrics])
    expect((await taken.expose(accept)).body).toBe((await observed.expose(accept)).body);
  expect((await taken.expose()).body).toContain('le="+Inf",route="/metrics",method="GET"} 5');
});

test("figures that are read are read at each exposition", async () => {
  const registry = createRegistry();
  let scrapes = 0;
  registry.beforeScrape(() => registry.gauge(flowsMetrics.active).set({}, ++scrapes));
  await registry.expose();
  const { body } = await registry.expose();
  expect(parseExposition(body, "text").get(flowsMetrics.active.name)?.samples[0]?.value).toBe(2);
});

test("one name cannot mean two metrics", () => {
  const registry = createRegistry();
  registry.gauge(flowsMetrics.active);
  expect(() => registry.gauge({ ...flowsMetrics.active, help: "something else" })).toThrow(
    expect.objectContaining({ code: "X0_TELEMETRY_METRIC_CONFLICT" }),
  );
});

test("the catalogue keeps to Prometheus' naming", () => {
  const all = Object.values(catalogue).flatMap((part) => Object.values(part));
  const hubbleNames = new Set<string>(Object.values(hubbleMetrics).map(({ name }) => name));
  expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
  for (const { name, type, help, labels, buckets } of all) {
    // Hubble's metrics keep Hubble's names, for the dashboards that ask for them.
    const prefix = hubbleNames.has(name) ? "hubble" : "x0tta6bl4";
    expect(name).toMatch(new RegExp(`^${prefix}_[a-z][a-z0-9_]*[a-z0-9]$`));
    expect(name.endsWith("_total"), name).toBe(type === "counter");
    expect(name).not.toMatch(/_(count|sum|bucket|created|ms|us|ns|kb|mb|percent)(_|$)/);
    expect(help, name).toMatch(/^[A-Z0-9].*\.$/);
    for (const label of labels) expect(label).toMatch(/^(?!le$|quantile$)[a-z][a-z_]*$/);
    expect(buckets !== undefined, name).toBe(type === "histogram");
  }
});
