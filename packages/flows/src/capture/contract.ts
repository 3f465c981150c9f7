/** What the capturing worker and the agent's main thread say to each other. */
import type { ChannelContract, Feature } from "@x0tta6bl4/core";
import type { Application } from "../application.ts";
import type { FlowEvent } from "../event.ts";
import type { FlowChange, FlowList, FlowQuery } from "../flow.ts";
import type { FlowTableMaps } from "../kernel/flow-table.ts";
import type { EnforcementCalls } from "../policy/enforce/contract.ts";
import type { AttachMode } from "./attachments.ts";
import type { SumBounds } from "./insight-sums.ts";

export interface CaptureOptions {
  readonly attach: AttachMode;
  /** Devices to observe, by name; `*` stands for any text, none for all. */
  readonly interfaces: readonly string[];
  readonly excludeInterfaces: readonly string[];
  /** Namespaces to observe beside the agent's own: names, patterns of names, paths. */
  readonly namespaces: readonly string[];
  readonly excludeNamespaces: readonly string[];
  readonly maxFlows: number;
  readonly recentFlows: number;
  readonly ringBytes: number;
  readonly readIntervalMs: number;
  readonly idleMs: number;
  readonly tcpIdleMs: number;
  /** Connections that a policy allowed and the kernel remembers. */
  readonly maxConnections: number;
  readonly runTimeStatistics: boolean;
  /** What speaks what, by its port. */
  readonly services: readonly Service[];
  /** Whose requests inside TLS are timed. */
  readonly opensslServices: readonly string[];
  readonly scanThreshold: number;
  readonly floodThreshold: number;
  /** Whether single requests are recorded, and not only their sums. */
  readonly recordRequests: boolean;
  /** Upper bounds of histograms, in seconds. */
  readonly bounds: SumBounds;
}

export interface Service {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly application: Application;
}

/** The kernel's maps by which the processes of a flow are found: descriptors, which all threads share. */
export interface FlowMaps {
  readonly flows: FlowTableMaps;
  readonly maxFlows: number;
  readonly processes: number;
  /** From the kernel's cookie of a namespace to the number in the flows' keys. */
  readonly namespaces: number;
  readonly cgroupRoot: string | undefined;
}

/** Sums since the start for one kind of traffic. */
export interface Traffic {
  readonly direction: "ingress" | "egress";
  readonly protocol: string;
  readonly place: "local" | "forwarded" | "loopback";
  readonly flows: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface ProgramTotals {
  readonly name: string;
  readonly events: number;
  readonly lost: number;
  /** Only while run-time statistics are on. */
  readonly runSeconds?: number;
}

export interface Totals {
  readonly timeMs: number;
  readonly traffic: readonly Traffic[];
  readonly active: number;
  readonly lost: {
    /** Ring events without room. */
    readonly events: number;
    /** Counted by the kernel, in no flow: expelled, and the event that told them found no room. */
    readonly packets: number;
    readonly bytes: number;
    /** Packets for which the map took no flow. */
    readonly uncounted: number;
  };
  readonly notIp: number;
  readonly malformed: number;
  readonly programs: readonly ProgramTotals[];
  readonly insight: InsightTotals;
  /** Records and events that the recording thread did not take in time. */
  readonly unrecorded: number;
}

/** A histogram: observations of each bucket alone, and their sum. */
export interface SumOf {
  readonly counts: readonly number[];
  readonly sum: number;
}

/** Totals since the start; durations in seconds. */
export interface InsightTotals {
  /** By rcode, "none" for no answer. */
  readonly dns: readonly (readonly [string, number])[];
  readonly dnsLatency: SumOf;
  readonly connects: SumOf;
  readonly retransmits: number;
  /** Application, "ok" or "error", count. */
  readonly requests: readonly (readonly [string, string, number])[];
  readonly requestLatency: readonly (readonly [string, SumOf])[];
  /** By application: what could not be parsed. */
  readonly unread: readonly (readonly [string, number])[];
  readonly scans: readonly (readonly [string, number])[];
  /** Packets by the kernel's reason. */
  readonly drops: readonly (readonly [string, number])[];
  /** Payloads and drops that the kernel side did not tell, to keep the ring for flows. */
  readonly skipped: number;
  /** Events that found no room on their way to who wants them. */
  readonly forgottenEvents: number;
}

export interface CaptureContract extends ChannelContract {
  readonly calls: EnforcementCalls & {
    /** Loads and attaches; resolves when the first devices are observed. */
    open(options: CaptureOptions): readonly Feature[];
    list(query: FlowQuery): FlowList;
    follow(request: { readonly id: number; readonly query: FlowQuery; readonly updates: boolean }): void;
    unfollow(id: number): void;
    /** Reads everything now. */
    totals(argument: undefined): Totals;
    /** For packet capture, which ends before this does. */
    maps(argument: undefined): FlowMaps;
    close(argument: undefined): void;
  };
  readonly events: {
    readonly totals: Totals;
    readonly features: readonly Feature[];
    readonly insight: { readonly id: number; readonly events: readonly FlowEvent[] };
    readonly changes: {
      readonly id: number;
      readonly changes: readonly FlowChange[];
      readonly dropped: number;
    };
  };
}
