import { parseDuration, parseSize } from "@x0tta6bl4/core";
import { flowsMetrics } from "@x0tta6bl4/telemetry";
import { z } from "zod";
import type { Application } from "./application.ts";
import type { CaptureOptions, Service } from "./capture/contract.ts";
import { exportsSchema } from "./export/config.ts";

const READ_INTERVAL_MS = 1000;

const size = z.string().refine((text) => {
  const bytes = /^\d/.test(text) ? parseSize(text) : 0;
  return bytes >= 64 * 1024 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes));
}, "must be a power of two from 64KiB to 1GiB");

const ports = z.array(z.number().int().min(1).max(65_535)).max(64);

/** The section `[flows]`. */
export const flowsConfigSchema = z.object({
  enabled: z.boolean().default(true).describe("observe this machine's network"),
  attach: z
    .enum(["auto", "tcx", "clsact"])
    .default("auto")
    .describe("how programs hook into devices: tcx (Linux 6.6), else clsact"),
  namespaces: z
    .array(z.string())
    .default([])
    .describe(
      "further network namespaces, by name (below /run/netns; * stands for any text) or path; the agent's own is always observed",
    ),
  max_flows: z
    .number()
    .int()
    .min(1024)
    .max(4_194_304)
    .default(131_072)
    .describe("flows that the kernel keeps at once; beyond them the longest idle make room"),
  recent_flows: z
    .number()
    .int()
    .min(0)
    .max(4_194_304)
    .default(16_384)
    .describe("ended flows kept in memory; older ones are in the history"),
  ring_size: size.default("4MiB").describe("buffer for events from the kernel, a power of two"),
  idle_seconds: z
    .number()
    .min(1)
    .default(60)
    .describe("a flow without answer, and any that is not TCP, ends after"),
  tcp_idle_seconds: z
    .number()
    .min(1)
    .max(86_400)
    .default(7200)
    .describe("a silent TCP connection ends after"),
  interfaces: z
    .array(z.string())
    .default([])
    .describe("devices to observe, by name, * stands for any text; all when empty"),
  exclude_interfaces: z.array(z.string()).default([]).describe("devices to leave out, likewise"),
  exclude_namespaces: z
    .array(z.string())
    .default([])
    .describe("namespaces to leave out of those that flows.namespaces names, likewise"),
  dns_ports: ports.default([53]).describe("ports whose packets are read as DNS"),
  request_ports: z
    .array(z.string().regex(/^(http|postgresql|mysql|redis):\d{1,5}$/, 'must be like "http:8080"'))
    .max(64)
    .default([])
    .describe(
      "plaintext ports whose requests are timed: http, postgresql, mysql or redis, a colon and the port",
    ),
  openssl_services: z
    .array(z.string())
    .default([])
    .describe("services whose HTTP inside OpenSSL is timed: a systemd unit or an executable's name"),
  scan_threshold: z
    .number()
    .int()
    .min(10)
    .default(100)
    .describe("so many ports of a host, or hosts with a port, that one source tries in a minute are a scan"),
  flood_threshold: z
    .number()
    .int()
    .min(10)
    .default(1000)
    .describe("so many openings of one service within a second are a flood"),
  history: z.boolean().default(true).describe("keep flows and events on disk"),
  history_size: z
    .string()
    .refine((text) => /^\d/.test(text) && parseSize(text) >= 16 * 1024 ** 2, "must be at least 16MiB")
    .default("10GB")
    .describe("the oldest history is deleted beyond"),
  history_age: z
    .string()
    .refine((text) => /^\d/.test(text) && parseDuration(text) >= 3_600_000, "must be at least 1h")
    .default("30d")
    .describe("history older than this is deleted"),
  hubble_listen: z
    .string()
    .default("127.0.0.1:4244")
    .describe("where the Hubble Observer API listens, loopback only; off turns it off"),
  hubble_relay_listen: z
    .string()
    .default("127.0.0.1:4245")
    .describe("the same API where the hubble command looks for a relay; off turns it off"),
  hubble_metrics: z
    .array(z.string())
    .default(["dns", "drop", "flow", "icmp", "port-distribution", "tcp"])
    .describe("hubble_* metrics, in Hubble's own form: name, or name:option=value;option=value"),
  exports: exportsSchema.default([]).describe("where flows are sent or written to"),
  run_time_statistics: z
    .boolean()
    .default(false)
    .describe("measure the programs' run time: costs every packet a little and needs CAP_SYS_ADMIN"),
});

export type FlowsConfig = z.infer<typeof flowsConfigSchema>;

/** @param maxConnections as the policy part says; without it none is remembered. */
export function captureOptions(config: FlowsConfig, maxConnections = 1): CaptureOptions {
  return {
    attach: config.attach,
    interfaces: config.interfaces,
    excludeInterfaces: config.exclude_interfaces,
    namespaces: config.namespaces,
    excludeNamespaces: config.exclude_namespaces,
    maxFlows: config.max_flows,
    recentFlows: config.recent_flows,
    ringBytes: parseSize(config.ring_size),
    readIntervalMs: READ_INTERVAL_MS,
    idleMs: config.idle_seconds * 1000,
    tcpIdleMs: config.tcp_idle_seconds * 1000,
    maxConnections,
    runTimeStatistics: config.run_time_statistics,
    services: services(config),
    opensslServices: config.openssl_services,
    scanThreshold: config.scan_threshold,
    floodThreshold: config.flood_threshold,
    recordRequests:
      config.exports.length > 0 || config.hubble_metrics.some((metric) => metric.startsWith("http")),
    bounds: {
      dns: flowsMetrics.dnsSeconds.buckets,
      connect: flowsMetrics.connectSeconds.buckets,
      request: flowsMetrics.requestSeconds.buckets,
    },
  };
}

function services({ dns_ports, request_ports }: FlowsConfig): Service[] {
  return [
    ...dns_ports.flatMap((port): Service[] => [
      { protocol: "udp", port, application: "dns" },
      { protocol: "tcp", port, application: "dns" },
    ]),
    ...request_ports.map((text): Service => {
      const [application, port] = text.split(":") as [Application, string];
      return { protocol: "tcp", port: Number(port), application };
    }),
  ];
}
