/**
 * A second reading of policies, for tests: YAML as the library decodes it, interpreted as it stands, sharing nothing
 * with the language, the model or the evaluator but addresses. It checks nothing: what the language refuses has no
 * verdict to compare.
 */
import { BlockList } from "node:net";
import { parseAllDocuments } from "yaml";
import { formatAddress } from "../../address.ts";
import type { Attempt, Labels, World } from "../model.ts";

// biome-ignore lint/suspicious/noExplicitAny: whatever YAML decodes to
type Decoded = any;

const portNumbers: Record<string, number | undefined> = {
  "http/6": 80,
  "www/6": 80,
  "https/6": 443,
  "https/17": 443,
  "domain/6": 53,
  "domain/17": 53,
  "web/6": 8080,
  "web/17": 8080,
  "web/132": 8080,
  "dns/17": 53,
};
const icmpNames: Record<string, number> = {
  "EchoRequest/1": 8,
  "EchoRequest/58": 128,
  "EchoReply/1": 0,
  "PacketTooBig/58": 2,
};
const numbers: Record<string, number> = { TCP: 6, UDP: 17, SCTP: 132 };

export function decodeYaml(text: string): Decoded[] {
  return parseAllDocuments(text).flatMap((document) => {
    const value = document.toJS({ maxAliasCount: -1 });
    return value == null ? [] : [value];
  });
}

export function isAllowed(documents: readonly Decoded[], world: World, attempt: Attempt): boolean {
  const way = attempt.direction;
  if (attempt.endpoint !== 0 && attempt.endpoint === attempt.peer.workload) return true;
  const groups = documents.filter(({ kind }) => kind === "CiliumCIDRGroup");
  let allowed = false;
  let closed = false;
  for (const { kind, spec, specs } of documents) {
    if (kind === "CiliumCIDRGroup") continue;
    for (const one of [spec, ...(specs ?? [])]) {
      if (one === undefined || !isSubject(one, world, attempt.endpoint)) continue;
      const allowing = one[way] ?? [];
      const denying = one[`${way}Deny`] ?? [];
      closed ||= one.enableDefaultDeny?.[way] ?? allowing.length + denying.length > 0;
      if (denying.some((rule: Decoded) => matches(rule, groups, world, attempt))) return false;
      allowed ||= allowing.some((rule: Decoded) => matches(rule, groups, world, attempt));
    }
  }
  return allowed || !closed;
}

function isSubject({ endpointSelector, nodeSelector }: Decoded, world: World, endpoint: number): boolean {
  if (endpoint === 0) return hasLabels(endpointSelector ?? nodeSelector, world.node.labels);
  const workload = world.workloads.find((one) => one.endpoint === endpoint);
  return (
    endpointSelector !== undefined && workload !== undefined && hasLabels(endpointSelector, workload.labels)
  );
}

function hasLabels({ matchLabels = {}, matchExpressions = [] }: Decoded, labels: Labels): boolean {
  const valueAt = (key: string): string | undefined => labels[key.replace(/^(any|k8s):/, "")];
  return (
    Object.entries(matchLabels).every(([key, value]) => valueAt(key) === value) &&
    matchExpressions.every(({ key, operator, values }: Decoded) => {
      const value = valueAt(key);
      if (operator === "Exists") return value !== undefined;
      if (operator === "DoesNotExist") return value === undefined;
      const isIn = value !== undefined && values.includes(value);
      return operator === "In" ? isIn : !isIn;
    })
  );
}

function matches(rule: Decoded, groups: readonly Decoded[], world: World, attempt: Attempt): boolean {
  const lists = Object.entries(rule).filter(([name]) => /^(from|to)(?!Ports)/.test(name)) as [
    string,
    Decoded[],
  ][];
  const ports = [...(rule.toPorts ?? []).map(portTests), ...(rule.icmps ?? []).map(icmpTests)].flat();
  const hasPorts = (rule.toPorts ?? []).length + (rule.icmps ?? []).length > 0;
  if (lists.length === 0 && !hasPorts) return false;
  if (lists.some(([, list]) => list.length === 0)) return false;
  const isPeer =
    lists.length === 0 ||
    lists.some(([name, list]) => list.some((item) => isSelected(name, item, groups, world, attempt.peer)));
  return isPeer && (!hasPorts || ports.some((test) => test(attempt)));
}

type Test = (attempt: Attempt) => boolean;

function portTests({ ports = [] }: Decoded): Test[] {
  return ports.map(({ port, endPort, protocol }: Decoded): Test => {
    const wanted = (protocol ?? "ANY").toUpperCase() || "ANY";
    return (attempt) => {
      if (wanted === "ANY" ? ![6, 17, 132].includes(attempt.protocol) : attempt.protocol !== numbers[wanted])
        return false;
      if (/[a-z]/i.test(port)) {
        const known = portNumbers[`${port.toLowerCase()}/${attempt.protocol}`];
        return known !== undefined && known === attempt.port;
      }
      const from = Number(port);
      const to = endPort || (from === 0 ? 65_535 : from);
      if (attempt.port === undefined) return from === 0 && to === 65_535;
      return from <= attempt.port && attempt.port <= to;
    };
  });
}

function icmpTests({ fields = [] }: Decoded): Test[] {
  return fields.map(({ family, type }: Decoded): Test => {
    const protocol = family === "IPv6" ? 58 : 1;
    const number = /^\d+$/.test(String(type)) ? Number(type) : icmpNames[`${type}/${protocol}`];
    return (attempt) => attempt.protocol === protocol && attempt.port === number;
  });
}

function isSelected(
  name: string,
  item: Decoded,
  groups: readonly Decoded[],
  world: World,
  { address, workload }: Attempt["peer"],
): boolean {
  const ip = formatAddress(address);
  const owns = ({ addresses }: { addresses: readonly Uint8Array[] }): boolean =>
    addresses.some((own) => formatAddress(own) === ip);
  const member = world.members.find(owns);
  const isOther = owns(world.node) || member !== undefined;
  const local = world.workloads.find(({ endpoint, addresses = [] }) =>
    workload === undefined ? !isOther && owns({ addresses }) : endpoint === workload,
  );
  const kind = local ? "workload" : owns(world.node) ? "host" : member ? "remote-node" : "world";
  const labels = kind === "workload" ? local?.labels : kind === "host" ? world.node.labels : member?.labels;
  const entity = (word: string): boolean =>
    word === "all" ||
    word === kind ||
    (word === "host" && local !== undefined && local.addresses === undefined) ||
    (word === "cluster" && kind !== "world") ||
    (kind === "world" && word === (ip.includes(":") ? "world-ipv6" : "world-ipv4"));
  switch (name.replace(/^(from|to)/, "")) {
    case "Endpoints": {
      const keys = JSON.stringify(item);
      const world = /reserved:(world(?:-ipv[46])?)"/.exec(keys)?.[1];
      if (world !== undefined) return entity(world);
      return kind !== "world" && hasLabels(item, labels ?? {});
    }
    case "Nodes":
      return kind === "remote-node" && hasLabels(item, labels ?? {});
    case "Entities":
      return entity(item);
    case "CIDR":
      return kind === "world" && isWithin(ip, item);
    case "CIDRSet": {
      const chosen = groups.filter(({ metadata }) =>
        item.cidrGroupSelector === undefined
          ? metadata.name === item.cidrGroupRef
          : hasLabels(item.cidrGroupSelector, metadata.labels ?? {}),
      );
      const cidrs = item.cidr === undefined ? chosen.flatMap(({ spec }) => spec.externalCIDRs) : [item.cidr];
      const isIn = (cidr: string): boolean => isWithin(ip, cidr);
      return kind === "world" && cidrs.some(isIn) && !(item.except ?? []).some(isIn);
    }
    case "FQDNs":
      return kind === "world" && world.names(address).some((one) => isNamed(one, item));
  }
  throw new TypeError(`${name} is no list of peers`);
}

function isWithin(ip: string, cidr: string): boolean {
  const family = ip.includes(":") ? "ipv6" : "ipv4";
  if (cidr.includes(":") !== ip.includes(":")) return false;
  const [base = "", bits = family === "ipv6" ? "128" : "32"] = cidr.split("/");
  const list = new BlockList();
  list.addSubnet(base, Number(bits), family);
  return list.check(ip, family);
}

/** By the expressions that Cilium makes of patterns. */
function isNamed(name: string, { matchName, matchPattern }: Decoded): boolean {
  if (matchName !== undefined) return `${name}.` === `${matchName.toLowerCase().replace(/\.$/, "")}.`;
  const pattern = matchPattern.toLowerCase();
  if (/^\*+\.?$/.test(pattern)) return true;
  const label = "[-a-z0-9_]";
  const expression = pattern
    .replace(/\.$/, "")
    .replace(/^\*{2,}\./, "@")
    .replaceAll(".", "[.]")
    .replace(/\*+/g, `${label}*`)
    .replace("@", `${label}+([.]${label}+)*[.]`);
  return new RegExp(`^${expression}$`).test(name);
}
