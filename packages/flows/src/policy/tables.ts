/**
 * The form in which the kernel side evaluates: one longest-prefix table a generation, which holds four things.
 *
 * - *Peers*: address → peer number, and `wider`. Equal sets of matching rules share one. No entry: ANY_PEER.
 * - *Workloads*: where the other end is a workload of this host, its endpoint → peer number and `wider`, in place of
 *   those of its address.
 * - *Endpoints*: endpoint, direction and mode → whether it is selected, what its default is, and the policy number
 *   under which its rules stand: endpoints that the same specs select share them.
 * - *Rules*: policy, peer, protocol, port → class and id. What overlaps is settled when the table is made, so each
 *   look-up gives the final answer of its (policy, peer). Class `none` is an answer too: nothing here decides.
 *
 * A verdict looks up the rules of (policy, ANY_PEER), of (policy, peer), of (policy, wider) where `wider` is not
 * ANY_PEER, and of (policy, name) for each name that an address of the world was learned by; the highest class wins,
 * among equals the lowest id; none is the default.
 *
 * A fragment whose ports are unknown is looked up with 8 bits of protocol and port instead of 24. An entry of at most 8
 * bits is the answer of the rules for every port alone, and all others have 9 or more, so that the shorter look-up
 * gives exactly their answer.
 *
 * Two modes: ENFORCED holds the policies that are not in audit; ALL holds them all, and exists only where some are.
 * Denied by ENFORCED is a drop; denied by ALL alone is told as audit; what both allow carries ENFORCED's id, or ALL's
 * where ENFORCED has none.
 */

/** `policy` = endpoint << 2 | mode << 1 | egress. */
export const mode = { enforced: 0, all: 1 } as const;

export function policyNumber(endpoint: number, which: number, egress: boolean): number {
  return ((endpoint << 2) | (which << 1) | (egress ? 1 : 0)) >>> 0;
}

export const ANY_PEER = 0;
/** Peers from here on are selectors by name. */
export const NAME_PEER = 0x8000_0000;

/** Higher wins. `management` is what must stay reachable whatever the rules say. */
export const ruleClass = { none: 0, allow: 1, deny: 2, management: 3 } as const;
export type RuleClass = (typeof ruleClass)[keyof typeof ruleClass];

export interface PeerEntry {
  /** 16 bytes. */
  readonly address: Uint8Array;
  readonly bits: number;
  readonly peer: number;
  /** A second peer number that holds besides, ANY_PEER for none. */
  readonly wider: number;
  /** Told only where there are names, which select nobody at addresses of this node and of members. */
  readonly isNode: boolean;
}

export interface WorkloadEntry {
  readonly endpoint: number;
  readonly peer: number;
  readonly wider: number;
}

export interface EndpointEntry {
  readonly policy: number;
  /** Id of the default deny, 0 where what no rule decides is allowed. */
  readonly defaultDenyId: number;
  /** The policy whose rules hold. */
  readonly rules: number;
}

export interface RuleEntry {
  readonly policy: number;
  readonly peer: number;
  /** 0 with bits 0: every protocol. */
  readonly protocol: number;
  readonly port: number;
  /** Of protocol and port together: 0, or 8 to 24; 0 and 8 hold for unknown ports too. */
  readonly bits: number;
  readonly class: RuleClass;
  readonly id: number;
}

export interface NameEntry {
  /** NAME_PEER + number. */
  readonly peer: number;
  readonly kind: "name" | "pattern";
  readonly text: string;
}

export interface Tables {
  readonly peers: readonly PeerEntry[];
  readonly workloads: readonly WorkloadEntry[];
  readonly endpoints: readonly EndpointEntry[];
  readonly rules: readonly RuleEntry[];
  readonly names: readonly NameEntry[];
}

/** What stays reachable: ports and sources of `policy.management`. */
export interface Management {
  /** Id of the verdicts; from the same numbers as the rules'. */
  readonly id: number;
  readonly ports: readonly { readonly protocol: number; readonly port: number }[];
  /** Who may use them; everybody where empty. */
  readonly sources: readonly { readonly bytes: Uint8Array; readonly bits: number }[];
}
