import { createRegistry, nodeMetrics } from "@x0tta6bl4/telemetry";
import { expect, test } from "vitest";
import { measureSelf } from "./self-metrics.ts";

test("the agent's own figures are those of this process", async () => {
  const registry = createRegistry();
  const stop = measureSelf(registry, "1.2.3", () => [{ name: "flows", state: "degraded", features: [] }]);
  const { body } = await registry.expose();
  stop();
  const value = (name: string, labels = ""): number => {
    const line = body.split("\n").find((each) => each.startsWith(`${name}${labels} `));
    return Number(line?.slice(name.length + labels.length + 1) ?? Number.NaN);
  };
  const { user, system } = process.cpuUsage();
  expect(value(nodeMetrics.cpuSeconds.name, '{mode="user"}')).toBeGreaterThan(0);
  expect(value(nodeMetrics.cpuSeconds.name, '{mode="user"}')).toBeLessThanOrEqual(user / 1e6);
  expect(value(nodeMetrics.cpuSeconds.name, '{mode="system"}')).toBeLessThanOrEqual(system / 1e6);
  expect(value(nodeMetrics.residentMemory.name)).toBeGreaterThan(10e6);
  expect(value(nodeMetrics.uptime.name)).toBeLessThanOrEqual(performance.now() / 1000);
  expect(value(nodeMetrics.startTime.name)).toBeCloseTo(performance.timeOrigin / 1000, 3);
  expect(value(nodeMetrics.buildInfo.name, `{version="1.2.3",node_version="${process.versions.node}"}`)).toBe(
    1,
  );
  expect(value(nodeMetrics.eventLoopDelay.name, '{statistic="p99"}')).toBeGreaterThanOrEqual(0);
  const state = (name: string) => `{part="flows",feature="",state="${name}"}`;
  expect([
    value(nodeMetrics.health.name, state("degraded")),
    value(nodeMetrics.health.name, state("on")),
  ]).toEqual([1, 0]);
});
