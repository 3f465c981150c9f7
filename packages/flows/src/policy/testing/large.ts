/** Policies of one node with many rules, for tests of scale and benches. */
import { parseAddress } from "../../address.ts";
import type { PeerSelector, PolicyRule, PolicySet, PortSelector, Prefix, World } from "../model.ts";

/** One clusterwide policy that selects whatever is here. */
export function policyOf(rules: readonly Pick<PolicyRule, "peers" | "ports">[]): PolicySet {
  const ingress = {
    defaultDenyId: 1,
    path: "spec.ingress",
    defaultDeny: true,
    rules: rules.map((rule, index) => ({
      ...rule,
      id: index + 2,
      path: `spec.ingress[${index}]`,
      deny: false,
    })),
  };
  const subject = { kind: "endpoint" as const, labels: [] };
  const spec = {
    path: "spec",
    subject,
    ingress,
    egress: undefined,
    description: undefined,
    log: undefined,
  };
  const kind = "CiliumClusterwideNetworkPolicy";
  return { policies: [{ kind, name: "large", labels: {}, audit: false, specs: [spec] }] };
}

/** @param workloads so many beside the node. */
export function worldOf(workloads: number): World {
  return {
    node: { name: "self", labels: { "reserved:host": "" }, addresses: [address("192.0.2.1")] },
    members: [],
    workloads: Array.from({ length: workloads }, (_, index) => ({
      endpoint: index + 1,
      name: `unit-${index}.service`,
      labels: { unit: `unit-${index}.service` },
    })),
    names: () => [],
  };
}

function address(text: string): Uint8Array {
  const bytes = parseAddress(text);
  if (bytes === undefined) throw new Error(`${text} is no address`);
  return bytes;
}

/** @param text an IPv4 prefix. */
function prefix(text: string): Prefix {
  const [base = "", bits = "32"] = text.split("/");
  return { bytes: address(base), bits: 96 + Number(bits) };
}

export function cidr(text: string): PeerSelector {
  return { kind: "cidr", prefix: prefix(text), except: [] };
}

export function tcp(first: number, last = first): PortSelector {
  return { protocol: "tcp", first, last };
}

/** The number-th host of 10.0.0.0/8. */
export function host(number: number): PeerSelector {
  return cidr(`10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}/32`);
}
