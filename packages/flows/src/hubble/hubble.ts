/**
 * The Hubble API as a consumer of what is recorded: the latest flows in memory, offered on two loopback ports, as a node
 * and as a relay, and the hubble_* metrics.
 */
import { hostname } from "node:os";
import { type Clock, type Feature, messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import type { Sink } from "../recording/sink.ts";
import type { Emitter } from "./from-record.ts";
import { type GrpcServer, serveGrpc } from "./grpc.ts";
import type { HubbleHistory } from "./history.ts";
import { OFF, parseLoopback } from "./listen.ts";
import { createLocalAddresses } from "./local-addresses.ts";
import type { Observation } from "./metric-handlers.ts";
import { parseMetricChoices } from "./metric-options.ts";
import { MAX_SERIES } from "./metric-series.ts";
import { createHubbleMetrics, type HubbleMetrics } from "./metrics.ts";
import { type ObserverSource, observerMethods, type Role } from "./observer.ts";
import { createWindow } from "./window.ts";

export interface HubbleOptions {
  /** `flows.hubble_listen` and `flows.hubble_relay_listen`. */
  readonly listen: string;
  readonly relayListen: string;
  /** `flows.hubble_metrics`. */
  readonly metrics: readonly string[];
  readonly version: string;
  readonly clock: Clock;
  readonly nodeName?: string;
  /** For what is older than the window in memory. */
  readonly history?: HubbleHistory;
}

export interface Hubble extends Sink {
  /** What goes into histograms, since the last call. */
  observations(): readonly Observation[];
  /** Where it listens by now; undefined where it does not. */
  port(role: Role): number | undefined;
}

const defaults: Readonly<Record<Role, string>> = { node: "127.0.0.1:4244", relay: "127.0.0.1:4245" };

/**
 * A default port that another program has turns that listener off, said by `features`.
 *
 * @throws X0_FLOWS_HUBBLE_LISTEN for one that the configuration names, X0_FLOWS_HUBBLE_METRICS
 */
export async function openHubble(options: HubbleOptions): Promise<Hubble> {
  const { clock, version } = options;
  const emitter: Emitter = {
    nodeName: options.nodeName ?? hostname(),
    version,
    isLocal: createLocalAddresses(clock),
  };
  const metrics = createHubbleMetrics(parseMetricChoices(options.metrics), emitter);
  const window = createWindow(emitter);
  const waiting = new Set<() => void>();
  const rate = createRate(clock);
  const source: ObserverSource = {
    window,
    history: options.history,
    emitter,
    clock,
    startedMs: clock.nowMs(),
    grown: (signal) =>
      new Promise((resolve) => {
        const wake = (): void => {
          signal.removeEventListener("abort", wake);
          waiting.delete(wake);
          resolve();
        };
        waiting.add(wake);
        signal.addEventListener("abort", wake);
        if (signal.aborted) wake();
      }),
    lost: (count) => metrics.lost("HUBBLE_RING_BUFFER", count),
    flowsRate: () => rate.perSecond(),
  };
  const servers = new Map<Role, GrpcServer>();
  const features: Feature[] = [];
  for (const [role, text] of [
    ["node", options.listen],
    ["relay", options.relayListen],
  ] as const)
    features.push(await listen(role, text, source, servers));

  return {
    take(records, events) {
      const before = window.seen;
      window.append(records, events);
      metrics.take(records, events);
      rate.add(window.seen - before);
      for (const wake of [...waiting]) wake();
    },
    features: () => [...features, ...metricFeatures(metrics, options.metrics)],
    samples: () => metrics.samples(),
    observations: () => metrics.observations(),
    async close() {
      await Promise.all([...servers.values()].map((server) => server.close()));
      servers.clear();
    },
    port: (role) => servers.get(role)?.port,
  };
}

async function listen(
  role: Role,
  text: string,
  source: ObserverSource,
  servers: Map<Role, GrpcServer>,
): Promise<Feature> {
  const name = role === "node" ? "hubble" : "hubble relay";
  const key = role === "node" ? "flows.hubble_listen" : "flows.hubble_relay_listen";
  if (text === OFF) return { name, state: "off", reason: `turned off by ${key}` };
  const address = parseLoopback(text);
  if (address === undefined)
    throw flowsFail("X0_FLOWS_HUBBLE_LISTEN", `${key}: "${text}" is no loopback address with a port`, {
      hint: `write it like "${defaults[role]}"; for other machines use ssh -L ${address}:${text}`,
    });
  try {
    const where = (): string => `${address.host}:${servers.get(role)?.port ?? address.port}`;
    servers.set(role, await serveGrpc(address, observerMethods(source, role, where)));
    return { name, state: "on", detail: `gRPC on ${where()}` };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || text !== defaults[role])
      throw flowsFail("X0_FLOWS_HUBBLE_LISTEN", `${key}: cannot listen on ${text}: ${messageOf(error)}`, {
        hint: `choose another address by ${key}, or "${OFF}"`,
        cause: error,
      });
    return {
      name,
      state: "off",
      reason: `${text} is in use by another program`,
      hint: `set ${key} to another port`,
    };
  }
}

function metricFeatures(metrics: HubbleMetrics, chosen: readonly string[]): Feature[] {
  const name = "hubble metrics";
  if (chosen.length === 0) return [{ name, state: "off", reason: "flows.hubble_metrics is empty" }];
  const overflowing = metrics.overflowing();
  if (overflowing.length > 0)
    return [
      {
        name,
        state: "degraded",
        reason: `${overflowing.join(", ")}: beyond ${MAX_SERIES} series, the rest counts as "other"`,
        hint: "choose contexts with fewer values in flows.hubble_metrics",
      },
    ];
  if (chosen.some((one) => /:.*exemplars(?!=false)/i.test(one)))
    return [
      {
        name,
        state: "degraded",
        reason: "flows carry no trace ids, so there are no exemplars",
        hint: "leave exemplars out of flows.hubble_metrics",
      },
    ];
  return [{ name, state: "on", detail: chosen.join(" ") }];
}

/** Seconds that the rate looks back. */
const RATE_SECONDS = 60;

function createRate(clock: Clock): { add(count: number): void; perSecond(): number } {
  const counts = new Map<number, number>();
  const startedMs = clock.nowMs();
  const forget = (second: number): void => {
    for (const known of counts.keys()) if (known <= second - RATE_SECONDS) counts.delete(known);
  };
  return {
    add(count) {
      const second = Math.floor(clock.nowMs() / 1000);
      counts.set(second, (counts.get(second) ?? 0) + count);
      forget(second);
    },
    perSecond() {
      const nowMs = clock.nowMs();
      forget(Math.floor(nowMs / 1000));
      const sum = counts.values().reduce((total, count) => total + count, 0);
      return sum / Math.max(1, Math.min(RATE_SECONDS, (nowMs - startedMs) / 1000));
    },
  };
}
