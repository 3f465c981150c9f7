/** What the page reads over HTTP, as far as it reads it. The node's OpenAPI document is the full contract. */

export interface Address {
  readonly ip: string;
  readonly port: number;
}

export interface Endpoint extends Address {
  readonly name: string | null;
}

export interface Counters {
  readonly sent: number;
  readonly received: number;
}

export interface FlowProcess {
  readonly pid: number;
  readonly comm: string;
  readonly executable: string | null;
  readonly cgroup: string | null;
  readonly unit: string | null;
  readonly container: string | null;
}

export interface Flow {
  readonly id: string;
  readonly state: "active" | "ended";
  readonly start: string;
  readonly end: string;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly protocol: string;
  readonly icmp: { readonly type: number; readonly code: number; readonly id: number } | null;
  readonly direction: "ingress" | "egress";
  readonly place: "local" | "forwarded" | "loopback";
  readonly netns: number;
  readonly interface: string;
  readonly verdict: "forwarded" | "audit" | "dropped";
  /** What decided; a policy without a name is what always stays reachable. */
  readonly rule: { readonly policy: string; readonly path: string } | null;
  readonly bytes: Counters;
  readonly packets: Counters;
  readonly tcpFlags: readonly string[];
  readonly cookie: string | null;
  readonly process: FlowProcess | null;
  readonly peerProcess: FlowProcess | null;
  readonly translated: { readonly source: Address; readonly destination: Address } | null;
  readonly application: string | null;
  readonly tcp: {
    readonly connectMs: number | null;
    readonly rttMs: number | null;
    readonly minRttMs: number | null;
    readonly retransmits: number;
  } | null;
  readonly tls: {
    readonly version: string | null;
    readonly serverName: string | null;
    readonly encryptedHello: boolean;
  } | null;
  readonly requests: {
    readonly count: number;
    readonly errors: number;
    readonly latencyMs: number | null;
  } | null;
  readonly drops: { readonly packets: number; readonly reason: string } | null;
}

export interface Covers {
  readonly from: string;
  readonly to: string;
  readonly lostPackets: number;
  /** Starts and ends of flows that found no room. */
  readonly lostEvents?: number;
  /** Where something is missing, oldest first. */
  readonly gaps?: readonly Gap[];
}

export interface Gap {
  readonly from: string;
  readonly to: string;
  readonly reason: string;
}

export interface FlowList {
  readonly flows: readonly Flow[];
  readonly next: string | null;
  readonly covers: Covers;
}

export interface FlowChange {
  readonly change: "start" | "update" | "end";
  readonly flow: Flow;
}

interface Parties {
  readonly time: string;
  /** Id of the flow; null where none is known. */
  readonly flow: string | null;
  readonly source: Endpoint;
  readonly destination: Endpoint;
  readonly protocol: string;
  readonly process: FlowProcess | null;
}

export interface DnsEvent extends Parties {
  readonly kind: "dns";
  readonly name: string;
  readonly type: string;
  readonly rcode: string | null;
  readonly answers: readonly string[];
  readonly ttlSeconds: number | null;
  readonly latencyMs: number | null;
}

export interface RequestEvent extends Parties {
  readonly kind: "request";
  readonly application: string;
  readonly method: string;
  readonly target: string | null;
  readonly status: string | null;
  readonly isError: boolean;
  readonly latencyMs: number;
  readonly encrypted: boolean;
}

export interface DropEvent extends Parties {
  readonly kind: "drop";
  readonly reason: string;
  readonly fromSource: boolean;
  readonly bytes: number;
  readonly interface: string | null;
}

export interface ScanEvent extends Parties {
  readonly kind: "scan";
  readonly scan: "ports" | "hosts" | "flood";
  readonly count: number;
  readonly seconds: number;
}

export type FlowEvent = DnsEvent | RequestEvent | DropEvent | ScanEvent;

export interface EventList {
  readonly events: readonly FlowEvent[];
}

/** One second of the whole host, whatever the page filters. */
export interface Totals {
  readonly time: string;
  readonly bytesPerSecond: number;
  readonly packetsPerSecond: number;
  readonly activeFlows: number;
  readonly lostPackets: number;
  readonly lostEvents: number;
}

export interface TotalsList {
  readonly points: readonly Totals[];
}

export interface Feature {
  readonly name: string;
  readonly state: "on" | "degraded" | "off" | "failed";
  readonly reason?: string;
  readonly hint?: string;
}

export interface Health {
  readonly version: string;
  readonly host: string;
  readonly start: string;
  readonly parts: readonly {
    readonly name: string;
    readonly state: Feature["state"];
    readonly features: readonly Feature[];
  }[];
}
