import { monitorEventLoopDelay } from "node:perf_hooks";
import type { State } from "@x0tta6bl4/core";
import { nodeMetrics, type Registry } from "@x0tta6bl4/telemetry";
import type { AgentHealth } from "./health.ts";

const states: readonly State[] = ["on", "degraded", "off", "failed"];
/** How often the probe's timer fires: fine enough to see stalls, too rare to cost anything. */
const resolutionMs = 20;
const windowMs = 10_000;

/** Keeps the agent's figures about itself. @returns what ends it. */
export function measureSelf(
  registry: Registry,
  version: string,
  parts: () => AgentHealth["parts"],
): () => void {
  registry.gauge(nodeMetrics.buildInfo).set({ version, node_version: process.versions.node }, 1);
  registry.gauge(nodeMetrics.startTime).set({}, performance.timeOrigin / 1000);
  const uptime = registry.gauge(nodeMetrics.uptime);
  const cpu = registry.counter(nodeMetrics.cpuSeconds);
  const memory = registry.gauge(nodeMetrics.residentMemory);
  const health = registry.gauge(nodeMetrics.health);
  registry.beforeScrape(() => {
    uptime.set({}, performance.now() / 1000);
    const { user, system } = process.cpuUsage();
    cpu.setTotal({ mode: "user" }, user / 1e6);
    cpu.setTotal({ mode: "system" }, system / 1e6);
    memory.set({}, process.memoryUsage.rss());
    for (const part of parts())
      for (const { name, state } of [{ name: "", state: part.state }, ...part.features])
        for (const each of states)
          health.set({ part: part.name, feature: name, state: each }, each === state ? 1 : 0);
  });
  return measureEventLoop(registry);
}

function measureEventLoop(registry: Registry): () => void {
  const delay = registry.gauge(nodeMetrics.eventLoopDelay);
  const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
  const publish = (): void => {
    for (const [statistic, percentile] of Object.entries({ p50: 50, p99: 99, max: 100 })) {
      // The probe records the whole distance between two firings, of which its own period is no delay.
      const lateNs = histogram.count === 0 ? 0 : histogram.percentile(percentile) - resolutionMs * 1e6;
      delay.set({ statistic }, Math.max(0, lateNs) / 1e9);
    }
    histogram.reset();
  };
  histogram.enable();
  publish();
  const timer = setInterval(publish, windowMs).unref();
  return () => {
    clearInterval(timer);
    histogram.disable();
  };
}
