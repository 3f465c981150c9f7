/** What the policy page reads over HTTP, as far as it reads it. */
import type { Covers } from "../shapes.ts";

export const decisions = ["allow", "audit", "deny"] as const;
export type Decision = (typeof decisions)[number];
export const directions = ["ingress", "egress"] as const;
export type Direction = (typeof directions)[number];

export interface PolicyState {
  readonly enforced: boolean;
  readonly reason: string | null;
  readonly hint: string | null;
  readonly node: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
    readonly addresses: readonly string[];
  };
  readonly generation: number | null;
  readonly applied: string | null;
  readonly management: boolean;
  readonly pin: boolean;
  readonly waiting: {
    readonly generation: number;
    readonly secondsLeft: number;
    readonly applied: string;
    readonly documents: readonly string[];
  } | null;
  readonly counts: {
    readonly documents: number;
    readonly audit: number;
    readonly rules: number;
    readonly entries: number;
    readonly connections: number | null;
    readonly unremembered: number | null;
  };
}

export interface Section {
  readonly path: string;
  readonly direction: Direction;
  readonly rules: number;
  readonly defaultDeny: boolean;
}

export interface CheckedDocument {
  readonly kind: string;
  readonly name: string;
  readonly description: string | null;
  readonly selects: {
    readonly thisNode: boolean;
    readonly nodes: readonly string[];
    readonly workloads: readonly string[];
  } | null;
  readonly sections: readonly Section[];
}

export interface PolicyDocument extends CheckedDocument {
  readonly audit: boolean;
  readonly applied: string;
}

export interface WholeDocument extends PolicyDocument {
  readonly text: string;
}

export interface PolicyList {
  readonly state: PolicyState;
  readonly documents: readonly PolicyDocument[];
}

/** Where a verdict comes from; `policy` is empty for what always stays reachable. */
export interface Decided {
  readonly id: number;
  readonly policy: string;
  readonly path: string;
  readonly decision: Decision;
}

export interface RuleFigures extends Decided {
  readonly flows: number;
  readonly packets: number;
  readonly bytes: number;
}

export interface PolicyWarning {
  readonly policy: string;
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

export interface Generation {
  readonly generation: number;
  readonly state: "prepared" | "unconfirmed" | "confirmed" | "reverted";
  readonly applied: string;
  readonly settled: string | null;
}

export interface MatrixPeer {
  readonly kind: "host" | "workload" | "member" | "range" | "name" | "world";
  readonly name: string;
  readonly prefixes: readonly string[];
}

export interface MatrixPort {
  readonly protocol: string | null;
  readonly first: number;
  readonly last: number;
  readonly isRest: boolean;
}

export interface Matrix {
  readonly peers: readonly MatrixPeer[];
  readonly ports: readonly MatrixPort[];
  readonly verdicts: readonly Decided[];
  /** By peer, then by port: which of the verdicts. */
  readonly cells: readonly (readonly number[])[];
  readonly leftOut: { readonly peers: number; readonly ports: number };
}

export interface MatrixAnswer {
  readonly direction: Direction;
  readonly endpoint: string;
  readonly endpoints: readonly string[];
  readonly matrix: Matrix | null;
}

export interface Problem {
  readonly severity: "malformed" | "unsupported" | "warning";
  readonly line: number;
  readonly document: number;
  readonly path: string;
  readonly message: string;
  readonly hint?: string;
}

export interface Checked {
  readonly valid: boolean;
  readonly documents: readonly CheckedDocument[];
  readonly problems: readonly Problem[];
}

export interface Change {
  readonly generation: number;
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly unchanged: readonly string[];
  readonly removed: readonly string[];
  readonly waiting: boolean;
  readonly warnings: readonly string[];
}

/** A rule, and what of the recorded flows it would drop. */
export interface Denied {
  readonly policy: string;
  readonly path: string;
  readonly decision: "audit" | "deny";
  readonly flows: number;
}

export interface DeniedGroup extends Denied {
  readonly endpoint: string;
  readonly direction: Direction;
  readonly peer: { readonly ip: string; readonly name: string | null };
  readonly protocol: string;
  readonly port: number | null;
  readonly process: string | null;
  readonly unit: string | null;
  readonly container: string | null;
  readonly example: { readonly flow: string; readonly start: string };
}

export interface Rehearsal {
  readonly covers: Covers;
  readonly asked: { readonly from: string; readonly to: string };
  /** Of the time asked for, that were really recorded. */
  readonly hours: number;
  readonly judged: number;
  readonly denied: number;
  readonly audited: number;
  readonly attempts: { readonly judged: number; readonly denied: number };
  readonly rules: readonly Denied[];
  readonly groups: readonly DeniedGroup[];
  readonly missing: number;
  readonly unseen: readonly { readonly name: string; readonly selected: boolean }[];
}

export interface Suggestion {
  readonly hours: number;
  readonly yaml: string;
  readonly flows: number;
}
