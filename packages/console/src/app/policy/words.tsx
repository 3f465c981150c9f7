/** Verdicts, rules and selections in words. */
import { decidedBy } from "../describe.ts";
import { count } from "../format.ts";
import { Badge, type Mark } from "../icons.tsx";
import { visible } from "../visible.ts";
import type { CheckedDocument, Decided, Decision, MatrixPort, Section } from "./shapes.ts";

const marks: Readonly<Record<Decision, Mark>> = { allow: "ok", audit: "audit", deny: "denied" };
export const decisionWords: Readonly<Record<Decision, string>> = {
  allow: "allowed",
  audit: "audit",
  deny: "denied",
};

export function Verdict({ decision }: { decision: Decision }) {
  return <Badge mark={marks[decision]}>{decisionWords[decision]}</Badge>;
}

export function VerdictMark({ decision }: { decision: Decision }) {
  return (
    <Badge mark={marks[decision]}>
      <span class="sr">{decisionWords[decision]}</span>
    </Badge>
  );
}

/** Which rule decided: of a policy, of the node itself, or none. */
export function ruleName({ id, policy, path }: Pick<Decided, "id" | "policy" | "path">): string {
  return id === 0 ? "no policy speaks of it" : decidedBy({ policy, path });
}

export function selectsText({ selects }: Pick<CheckedDocument, "selects">): string {
  if (selects === null) return "–";
  const { thisNode, nodes, workloads } = selects;
  const others = nodes.length - Number(thisNode);
  const said = [
    ...(thisNode ? ["this node"] : []),
    ...(others > 0 ? [`${count(others)} ${thisNode ? "other " : ""}${others === 1 ? "node" : "nodes"}`] : []),
    ...(workloads.length > 0 ? [`${count(workloads.length)} ${plural(workloads.length, "workload")}`] : []),
  ];
  return said.length === 0 ? "nobody" : said.join(", ");
}

export function sectionText({ path, rules, defaultDeny }: Section): string {
  return `${visible(path)}: ${rules} ${plural(rules, "rule")}${defaultDeny ? ", denies the rest" : ""}`;
}

export function plural(number: number, noun: string): string {
  return number === 1 ? noun : `${noun}s`;
}

/** Kubernetes' prefix says nothing here. */
export function kindText(kind: string): string {
  const known: Readonly<Record<string, string>> = {
    CiliumNetworkPolicy: "network policy",
    CiliumClusterwideNetworkPolicy: "clusterwide",
    CiliumCIDRGroup: "CIDR group",
  };
  return known[kind] ?? visible(kind);
}

/** "tcp 80", "tcp 80–90", "other tcp", "all else". */
export function portText({ protocol, first, last, isRest }: MatrixPort): string {
  if (protocol === null) return "all else";
  if (isRest) return `other ${protocol}`;
  const type = protocol.startsWith("icmp") ? " type" : "";
  return `${protocol}${type} ${first === last ? first : `${first}–${last}`}`;
}
