/** What a packet capture takes, and what its thread and the agent's main thread say to each other. */
import type { ChannelContract } from "@x0tta6bl4/core";
import { parseDuration } from "@x0tta6bl4/core";
import { z } from "zod";
import type { FlowMaps } from "../capture/contract.ts";
import { flowQuerySchema } from "../flow.ts";

export const packetLimits = {
  /** Of a packet's bytes: what the kernel side has room for; a longer one is cut. */
  snapBytes: 16_384,
  /** A capture that is forgotten must not run for ever. */
  durationMs: 24 * 3_600_000,
} as const;

export const packetsQuerySchema = flowQuerySchema
  .pick({ ip: true, port: true, protocol: true, process: true })
  .extend({
    for: z
      .string()
      .refine((text) => {
        const durationMs = /^\d/.test(text) ? parseDuration(text) : 0;
        return durationMs > 0 && durationMs <= packetLimits.durationMs;
      }, "must be a duration up to 24h, as 60s")
      .default("60s")
      .describe("how long: 60s, 5m"),
    snap: z.coerce
      .number()
      .int()
      .min(64)
      .max(packetLimits.snapBytes)
      .default(256)
      .describe("bytes of each packet"),
    on_drop: z
      .enum(["true", "false"])
      .default("false")
      .describe("only packets that the kernel drops, with its reason"),
  });

export type PacketsQuery = z.infer<typeof packetsQuerySchema>;

export interface PacketsOptions {
  readonly query: PacketsQuery;
  readonly attach: "auto" | "tcx" | "clsact";
  readonly interfaces: readonly string[];
  readonly excludeInterfaces: readonly string[];
  readonly namespaces: readonly string[];
  readonly excludeNamespaces: readonly string[];
  /** Where the processes of flows are found; without it no packet names one. */
  readonly flows?: FlowMaps;
}

export interface PacketsContract extends ChannelContract {
  readonly calls: {
    /** Loads and attaches; resolves when packets are taken at every device. @returns the file's beginning. */
    open(options: PacketsOptions): Uint8Array;
    /** So many bytes of what was sent have been taken: as many more may follow. */
    taken(bytes: number): void;
    /** Detaches. @returns the file's end, with what was still in the ring. */
    close(argument: undefined): Uint8Array;
  };
  readonly events: {
    /** Whole blocks of the file. */
    readonly blocks: Uint8Array;
    readonly failed: string;
  };
}
