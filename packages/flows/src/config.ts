import { parseSize } from "@x0tta6bl4/core";
import { z } from "zod";
import type { CaptureOptions } from "./capture/contract.ts";

const READ_INTERVAL_MS = 1000;

const size = z.string().refine((text) => {
  const bytes = /^\d/.test(text) ? parseSize(text) : 0;
  return bytes >= 64 * 1024 && bytes <= 2 ** 30 && Number.isInteger(Math.log2(bytes));
}, "must be a power of two from 64KiB to 1GiB");

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
      "further network namespaces, by name (below /run/netns) or path; the agent's own is always observed",
    ),
  max_flows: z
    .number()
    .int()
    .min(1024)
    .max(4_194_304)
    .default(131_072)
    .describe("flows that the kernel keeps at once; beyond them it evicts the least recently used"),
  recent_flows: z.number().int().min(0).max(4_194_304).default(65_536).describe("ended flows kept in memory"),
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
  run_time_statistics: z
    .boolean()
    .default(false)
    .describe("measure the programs' run time: costs every packet a little and needs CAP_SYS_ADMIN"),
});

export type FlowsConfig = z.infer<typeof flowsConfigSchema>;

export function captureOptions(config: FlowsConfig): CaptureOptions {
  return {
    attach: config.attach,
    namespaces: config.namespaces,
    maxFlows: config.max_flows,
    recentFlows: config.recent_flows,
    ringBytes: parseSize(config.ring_size),
    readIntervalMs: READ_INTERVAL_MS,
    idleMs: config.idle_seconds * 1000,
    tcpIdleMs: config.tcp_idle_seconds * 1000,
    runTimeStatistics: config.run_time_statistics,
  };
}
