/**
 * What a set of policies says, free of YAML: the language makes it, the evaluator reads it as it stands, the compiler
 * turns it into the kernel's tables. The meaning is Cilium's (CiliumNetworkPolicy, CiliumClusterwideNetworkPolicy).
 */

/** Requirements that must all hold; none at all selects everything. */
export type LabelSelector = readonly LabelRequirement[];

export interface LabelRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn" | "Exists" | "DoesNotExist";
  readonly values: readonly string[];
}

export type Labels = Readonly<Record<string, string>>;

export interface Prefix {
  /** 16 bytes, IPv4 as `::ffff:a.b.c.d`; the host part is zero. */
  readonly bytes: Uint8Array;
  /** 0 to 128: 96 more than written for IPv4. */
  readonly bits: number;
}

export const entities = [
  "all",
  "world",
  "world-ipv4",
  "world-ipv6",
  "host",
  "remote-node",
  "cluster",
] as const;
export type Entity = (typeof entities)[number];

/** Who is at the other end. */
export type PeerSelector =
  | { readonly kind: "endpoints"; readonly labels: LabelSelector }
  /** Members, never this node. */
  | { readonly kind: "nodes"; readonly labels: LabelSelector }
  /** Of the world only, as names are: neither this host nor members. */
  | { readonly kind: "cidr"; readonly prefix: Prefix; readonly except: readonly Prefix[] }
  | { readonly kind: "entity"; readonly entity: Entity }
  /** Egress only. Lower case, no final dot; `pattern` may hold `*`. */
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "pattern"; readonly pattern: string };

export const policyProtocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
export type PolicyProtocol = keyof typeof policyProtocols;

/** A range of destination ports; of ICMP: of message types. 0 to 65,535 is every port. */
export interface PortSelector {
  readonly protocol: PolicyProtocol;
  readonly first: number;
  readonly last: number;
}

export type Direction = "ingress" | "egress";

/** One entry of `ingress`, `egress`, `ingressDeny` or `egressDeny`. */
export interface PolicyRule {
  /** From 1, unique in its set, growing in the order of documents and of the rules in them. */
  readonly id: number;
  /** Where it stands: `spec.ingress[0]`, `specs[1].egressDeny[2]`. */
  readonly path: string;
  readonly deny: boolean;
  /** One must match. Undefined: whoever it is. Empty: nobody. */
  readonly peers: readonly PeerSelector[] | undefined;
  /** One must match. Undefined: every protocol and port. */
  readonly ports: readonly PortSelector[] | undefined;
}

export interface PolicyDirection {
  /** Verdicts of what no rule allows carry it; from the same numbers as the rules' ids. */
  readonly defaultDenyId: number;
  /** `spec.ingress`: the section that turned it on. */
  readonly path: string;
  /** Whether what no rule allows is denied. */
  readonly defaultDeny: boolean;
  readonly rules: readonly PolicyRule[];
}

/** `spec`, or one of `specs`. */
export interface PolicySpec {
  readonly path: string;
  readonly subject: {
    /** `endpoint` selects nodes and workloads, `node` only nodes. */
    readonly kind: "endpoint" | "node";
    readonly labels: LabelSelector;
  };
  /** Undefined where the spec says nothing of that direction. */
  readonly ingress: PolicyDirection | undefined;
  readonly egress: PolicyDirection | undefined;
  readonly description: string | undefined;
  /** `log.value`: free text shown beside verdicts. */
  readonly log: string | undefined;
}

export const policyKinds = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"] as const;
export type PolicyKind = (typeof policyKinds)[number];

export interface Policy {
  readonly kind: PolicyKind;
  /** `namespace/name`, or `name` of one that is clusterwide. Unique in a set. */
  readonly name: string;
  readonly labels: Labels;
  /** Verdicts are told, but nothing is dropped on its account. */
  readonly audit: boolean;
  readonly specs: readonly PolicySpec[];
}

/** Sorted by name, so that ids do not depend on the order of files. */
export interface PolicySet {
  readonly policies: readonly Policy[];
}

/** This node or another. Labels include `reserved:host` or `reserved:remote-node` and the node's name. */
export interface Node {
  readonly name: string;
  readonly labels: Labels;
  /** 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
}

/** A local systemd unit or container. */
export interface Workload {
  /** From 1, unique while the agent runs; endpoint 0 is the node. */
  readonly endpoint: number;
  readonly name: string;
  readonly labels: Labels;
  /** Its path below the root of the hierarchy, and the kernel's number of it. */
  readonly cgroup?: { readonly path: string; readonly id: number } | undefined;
  /**
   * In a network namespace of its own: its addresses there, where no other workload has them. Undefined: it shares
   * this host's, and is part of what the entity `host` stands for.
   */
  readonly addresses?: readonly Uint8Array[] | undefined;
}

/** What selectors are held against. */
export interface World {
  /** With all addresses of this host, those of loopback included. */
  readonly node: Node;
  readonly members: readonly Node[];
  readonly workloads: readonly Workload[];
  /** Names that observed answers gave an address: lower case, no final dot. */
  readonly names: (address: Uint8Array) => readonly string[];
}

export const NODE_ENDPOINT = 0;

/** A new connection, or a packet that belongs to none, as one of its ends sees it. */
export interface Attempt {
  /** Whose policy is asked: NODE_ENDPOINT or a workload. */
  readonly endpoint: number;
  /** `ingress`: the endpoint is asked; `egress`: it asks. */
  readonly direction: Direction;
  readonly peer: {
    readonly address: Uint8Array;
    /** A local workload of this host's network, told by its socket; its address is then one of this host's. */
    readonly workload?: number | undefined;
  };
  readonly protocol: number;
  /** Destination port; of ICMP: the message's type; 0 of protocols without ports. Undefined: a fragment whose ports
   * are unknown, which only rules without ports allow, and which those with ports do not deny. */
  readonly port: number | undefined;
}

export type Decision = "allow" | "audit" | "deny";

export interface Verdict {
  readonly decision: Decision;
  /** Rule or default deny that decided; 0 where no policy selects the endpoint in that direction. */
  readonly id: number;
}
