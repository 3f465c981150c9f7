/** What selectors are held against here: the configuration, and the addresses that this host has at the moment. */
import { hostname, networkInterfaces } from "node:os";
import { parseAddress } from "../address.ts";
import type { PolicyConfig } from "./config.ts";
import type { Labels, Node, Workload, World } from "./model.ts";

/** Kubernetes' well-known label of a node's name. */
const hostnameLabel = "kubernetes.io/hostname";

export interface Surroundings {
  readonly addresses: readonly Uint8Array[];
  readonly workloads: readonly Workload[];
  readonly names: World["names"];
}

/** A member of this node's own name is this node, so that all nodes may share one list. */
export function worldOf(config: PolicyConfig, { addresses, workloads, names }: Surroundings): World {
  const name = nodeNameOf(config);
  const self = config.members.find((member) => member.name === name);
  return {
    node: {
      name,
      labels: labelsOf(name, { ...self?.labels, ...config.node_labels }, "reserved:host"),
      addresses: distinct([...addresses, ...(self?.addresses ?? []).map(addressOf)]),
    },
    members: config.members
      .filter((member) => member !== self)
      .map(
        (member): Node => ({
          name: member.name,
          labels: labelsOf(member.name, member.labels, "reserved:remote-node"),
          addresses: distinct(member.addresses.map(addressOf)),
        }),
      ),
    workloads,
    names,
  };
}

export function nodeNameOf(config: PolicyConfig): string {
  return config.node_name === "" ? hostname().toLowerCase() : config.node_name;
}

/** Those of this process's network namespace, loopback's included. Takes a tenth of a millisecond. */
export function hostAddresses(): Uint8Array[] {
  const texts = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address),
  );
  return distinct(texts.flatMap((text) => parseAddress(text.replace(/%.*$/, "")) ?? []));
}

function labelsOf(name: string, given: Labels, reserved: string): Labels {
  return { name, [hostnameLabel]: name, ...given, [reserved]: "" };
}

function addressOf(text: string): Uint8Array {
  return parseAddress(text) as Uint8Array;
}

/** Sorted, so that the same addresses in another order change nothing. */
function distinct(addresses: readonly Uint8Array[]): Uint8Array[] {
  const sorted = addresses.toSorted((a, b) => Buffer.compare(a, b));
  return sorted.filter((address, index) => {
    const before = sorted[index - 1];
    return before === undefined || Buffer.compare(before, address) !== 0;
  });
}
