/** What one document says, before a set gives its rules their ids and groups of prefixes their members. */
import type {
  LabelSelector,
  Labels,
  PeerSelector,
  PolicyKind,
  PolicyRule,
  PolicySpec,
  Prefix,
} from "../model.ts";

/** Prefixes of CiliumCIDRGroups: of the named one, or of all whose labels are selected. */
export interface GroupPeer {
  readonly kind: "group";
  readonly group: string | LabelSelector;
  readonly except: readonly Prefix[];
  /** Where it stands, for a warning where there is no such group. */
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

export type DraftPeer = PeerSelector | GroupPeer;

export interface DraftRule extends Omit<PolicyRule, "id" | "peers"> {
  readonly peers: readonly DraftPeer[] | undefined;
}

export interface DraftDirection {
  readonly path: string;
  readonly defaultDeny: boolean;
  readonly rules: readonly DraftRule[];
}

export interface DraftSpec extends Omit<PolicySpec, "ingress" | "egress"> {
  readonly ingress: DraftDirection | undefined;
  readonly egress: DraftDirection | undefined;
}

interface Documented {
  readonly labels: Labels;
  readonly file: string;
  /** From 1, in its file. */
  readonly document: number;
  readonly line: number;
  /** Its YAML as it was written. */
  readonly source: string;
}

export interface PolicyDocument extends Documented {
  readonly kind: PolicyKind;
  /** `namespace/name`, or `name` of one that is clusterwide. */
  readonly name: string;
  readonly specs: readonly DraftSpec[];
}

export interface CidrGroup extends Documented {
  readonly name: string;
  readonly prefixes: readonly Prefix[];
}
