/** What policies ask of the recording thread, which has the history. Plain data: it crosses a channel. */
import type { FlowList } from "../../flow.ts";
import type { ReplayRange } from "../../history/replay.ts";
import type { KnownAddress } from "../names/known.ts";
import type { Tables } from "../tables.ts";
import type { Owner } from "../workloads/name.ts";
import type { Enforced, Unasked } from "./asked.ts";

interface Replaying extends ReplayRange, Pick<Enforced, "netns"> {
  /** What `stopReplay` ends it by. */
  readonly id: number;
  /** Addresses of this host, of members and of workloads that have their own: 16 bytes each. Neither names nor prefixes select them. */
  readonly nodes: readonly Uint8Array[];
}

export interface RehearseRequest extends Replaying, Enforced {
  readonly tables: Tables;
  /** Names that addresses have now, beside those recorded with flows. */
  readonly known: readonly KnownAddress[];
  /** Endpoints by name. */
  readonly workloads: readonly { readonly name: string; readonly endpoint: number }[];
  /** Most groups in the answer. */
  readonly top: number;
}

/** Flows that one rule decides, of one process with one peer and port. */
export interface DenialGroup {
  readonly decision: "audit" | "deny";
  /** Id of the rule or default deny, in the set that the tables were made from. */
  readonly rule: number;
  /** NODE_ENDPOINT or a workload's. */
  readonly endpoint: number;
  readonly direction: "ingress" | "egress";
  readonly peer: { readonly ip: string; readonly name: string | null };
  readonly protocol: number;
  readonly port: number | null;
  readonly process: string | null;
  readonly unit: string | null;
  readonly container: string | null;
  readonly flows: number;
  /** The newest of them. */
  readonly example: { readonly flow: string; readonly start: string };
}

export interface Counts {
  /** That policies were asked of. */
  readonly judged: number;
  /** That came to something, and would be dropped. */
  readonly denied: number;
  /** Likewise, by policies in audit alone. */
  readonly audited: number;
  /** Those that came to nothing: scans, refused, one packet without an answer. Told apart: none of them is lost. */
  readonly attempts: { readonly judged: number; readonly denied: number };
  readonly unasked: Readonly<Record<Unasked, number>>;
  /** Of flows to the world, where rules select by name. */
  readonly names: NamedFlows;
}

/** How the other end's name was known. */
export interface NamedFlows {
  /** Recorded with the flow. */
  readonly recorded: number;
  /** This node knows one now. */
  readonly known: number;
  /** Nobody does: no rule by name selects it. */
  readonly unknown: number;
}

export interface Rehearsed {
  readonly covers: FlowList["covers"];
  readonly counts: Counts;
  /** Flows that came to something, by id of the rule that would drop them; the most first. */
  readonly rules: readonly {
    readonly rule: number;
    readonly decision: "audit" | "deny";
    readonly flows: number;
  }[];
  /** The largest first. */
  readonly groups: readonly DenialGroup[];
  /** Groups told have at most this much too few flows: memory for them is bounded. */
  readonly missing: number;
  /** Names of workloads with a flow in the time. */
  readonly seen: readonly string[];
}

export interface NeedsRequest extends Replaying {
  readonly limits: {
    /** So many addresses of the world that use one service of this host make it a public one. */
    readonly publicAddresses: number;
  };
}

/** Flows of one subject, direction, service and peer. */
export interface Need {
  /** Name of a workload, empty for the node. */
  readonly subject: string;
  readonly isEgress: boolean;
  readonly protocol: number;
  /** Null: packets whose ports nobody knows. */
  readonly port: number | null;
  /** Null: very many addresses of the world, of this family. */
  readonly address: Uint8Array | null;
  readonly isIPv4: boolean;
  readonly name: string | null;
  readonly flows: number;
  readonly lastMs: number;
}

export interface LeftOut {
  readonly direction: "ingress" | "egress";
  readonly protocol: number;
  readonly port: number | null;
  readonly process: string | null;
  readonly flows: number;
}

export interface Needs {
  readonly covers: FlowList["covers"];
  readonly needs: readonly Need[];
  /** Workloads with needs. */
  readonly subjects: readonly Owner[];
  /** Others with flows, for which no policy can be written. */
  readonly others: readonly Owner[];
  readonly flows: number;
  /** Flows that came to nothing, and the most frequent of them. */
  readonly attempts: number;
  readonly leftOut: readonly LeftOut[];
  /** Flows of needs beyond what is kept. */
  readonly beyond: number;
  readonly unasked: Readonly<Record<Unasked, number>>;
}

export type RehearsalCalls = {
  /** Units and containers of recorded processes. */
  recordedOwners(range: ReplayRange & { readonly id: number }): readonly Owner[];
  rehearse(request: RehearseRequest): Rehearsed;
  recordedNeeds(request: NeedsRequest): Needs;
  /** Ends what has this id: its answer is an error then. */
  stopReplay(id: number): void;
};
