/** What the capturing worker and the agent's main thread say to each other. */
import type { ChannelContract, Feature } from "@x0tta6bl4/core";
import type { Application, FlowChange, FlowList, FlowQuery } from "../flow.ts";
import type { AttachMode } from "./attachments.ts";

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
  readonly runTimeStatistics: boolean;
  /** What speaks what, by its port. */
  readonly services: readonly Service[];
  readonly scanThreshold: number;
  readonly floodThreshold: number;
}

export interface Service {
  readonly protocol: "tcp" | "udp";
  readonly port: number;
  readonly application: Application;
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
    /** Counted by the kernel, in no flow: evicted before they were read. */
    readonly packets: number;
    readonly bytes: number;
    /** Packets for which the map took no flow. */
    readonly uncounted: number;
  };
  readonly notIp: number;
  readonly malformed: number;
  readonly programs: readonly ProgramTotals[];
}

export interface CaptureContract extends ChannelContract {
  readonly calls: {
    /** Loads and attaches; resolves when the first devices are observed. */
    open(options: CaptureOptions): readonly Feature[];
    list(query: FlowQuery): FlowList;
    follow(request: { readonly id: number; readonly query: FlowQuery; readonly updates: boolean }): void;
    unfollow(id: number): void;
    /** Reads everything now. */
    totals(argument: undefined): Totals;
    close(argument: undefined): void;
  };
  readonly events: {
    readonly totals: Totals;
    readonly features: readonly Feature[];
    readonly changes: {
      readonly id: number;
      readonly changes: readonly FlowChange[];
      readonly dropped: number;
    };
  };
}
