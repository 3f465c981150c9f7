/** What the page reads over HTTP, as far as it reads it. The node's OpenAPI document is the full contract. */

export interface Endpoint {
  readonly ip: string;
  readonly port: number;
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
  readonly verdict: string;
  readonly bytes: Counters;
  readonly packets: Counters;
  readonly tcpFlags: readonly string[];
  readonly cookie: string | null;
  readonly process: FlowProcess | null;
  readonly peerProcess: FlowProcess | null;
}

export interface FlowList {
  readonly flows: readonly Flow[];
  readonly next: string | null;
  readonly covers: { readonly from: string; readonly to: string; readonly lostPackets: number };
}

export interface FlowChange {
  readonly change: "start" | "update" | "end";
  readonly flow: Flow;
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
