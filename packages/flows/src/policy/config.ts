/** The section `[policy]`. */
import { X0Error } from "@x0tta6bl4/core";
import { z } from "zod";
import { parseAddress } from "../address.ts";
import { type AddressPrefix, parseAddressPrefix } from "../filter.ts";
import type { Prefix } from "./model.ts";

/** A name of RFC 1123, as Kubernetes takes for nodes. */
const nodeName = z
  .string()
  .regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, "must be a host name in lower case, like edge-2");

const labels = z.record(
  z
    .string()
    .regex(/^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
    .describe("a label's key, as in Kubernetes"),
  z.string().regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/, "must be a label's value"),
);

const address = z
  .string()
  .refine((text) => parseAddress(text) !== undefined, "must be an IPv4 or IPv6 address");

const source = z
  .string()
  .refine((text) => prefixIn(text) !== undefined, "must be an address or a prefix, like 192.0.2.0/24");

const portPattern = /^(tcp|udp|sctp):(\d{1,5})$/;
const protocolPort = z.string().refine((text) => {
  const port = Number(portPattern.exec(text)?.[2]);
  return port >= 1 && port <= 65_535;
}, 'must be like "tcp:22"');

const memberSchema = z.strictObject({
  name: nodeName,
  labels: labels.default({}),
  addresses: z.array(address).min(1).max(64),
});

export const policyConfigSchema = z.object({
  node_name: z
    .string()
    .default("")
    .refine((text) => text === "" || nodeName.safeParse(text).success, "must be a host name in lower case")
    .describe("what selectors know this node by; its host name when empty"),
  node_labels: labels
    .default({})
    .describe('labels of this node, which endpointSelector and nodeSelector select: { role = "db" }'),
  members: z
    .array(memberSchema)
    .max(10_000)
    .superRefine((members, context) => {
      const seen = new Map<string, string>();
      for (const [index, { name, addresses }] of members.entries())
        for (const key of [name, ...addresses]) {
          const other = seen.get(key);
          if (other !== undefined)
            context.addIssue({ code: "custom", path: [index], message: `${key} is given twice (${other})` });
          seen.set(key, name);
        }
    })
    .default([])
    .describe("other nodes: their name, labels and addresses; [[policy.members]] in the file"),
  workloads: z
    .array(
      z.strictObject({
        unit: z.string().min(1).optional(),
        container: z.string().min(1).optional(),
        labels,
      }),
    )
    .max(1000)
    .default([])
    .describe(
      'labels of systemd units and containers of this host, by patterns; * stands for any text: [[policy.workloads]] with unit = "nginx*" and labels = { role = "web" }. Each has the labels name, unit and container anyway',
    ),
  named_ports: z
    .record(
      z.string().regex(/^(?=.*[a-z])[a-z0-9]([-a-z0-9]{0,13}[a-z0-9])?$/),
      z.union([protocolPort, z.number().int().min(1).max(65_535)]),
    )
    .default({})
    .describe(
      'ports that policies may name, before those of /etc/services: { postgres = "tcp:5432", dns = 53 }',
    ),
  management_ports: z
    .array(protocolPort)
    .max(64)
    .default(["tcp:22"])
    .describe(
      "ports of this node that stay reachable whatever policies say, unless --no-management is given",
    ),
  management_sources: z
    .array(source)
    .max(256)
    .default([])
    .describe("addresses and prefixes from which they stay reachable; everybody when empty"),
  resolvers: z
    .array(address)
    .max(64)
    .default([])
    .describe(
      "DNS servers whose answers teach the addresses of names; those of /etc/resolv.conf, and behind systemd-resolved, when empty",
    ),
  names_min_ttl: z
    .number()
    .int()
    .min(0)
    .max(86_400)
    .default(60)
    .describe(
      "seconds for which an address is admitted for its name at least, also where its record says less",
    ),
  names_max_ttl: z
    .number()
    .int()
    .min(1)
    .max(604_800)
    .default(86_400)
    .describe(
      "seconds for which an address is admitted for its name at most; open connections keep it longer",
    ),
  max_connections: z
    .number()
    .int()
    .min(1024)
    .max(4_194_304)
    .default(262_144)
    .describe(
      "allowed connections that the kernel remembers at once; beyond them packets are judged one by one",
    ),
  pin: z
    .boolean()
    .default(false)
    .describe("keep policies in force when the agent dies, until the next agent or `x0 policy reset`"),
});

export type PolicyConfig = z.infer<typeof policyConfigSchema>;

/** `tcp:22` of a checked setting. */
export function parsePort(text: string): {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly port: number;
} {
  const [, protocol, port] = portPattern.exec(text) as unknown as [string, "tcp" | "udp" | "sctp", string];
  return { protocol, port: Number(port) };
}

/** A checked setting. */
export function parseSource(text: string): Prefix {
  const { bytes, prefixBits } = prefixIn(text) as AddressPrefix;
  const network = bytes.map(
    (byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixBits - index * 8))),
  );
  return { bytes: network, bits: prefixBits };
}

function prefixIn(text: string): AddressPrefix | undefined {
  try {
    return parseAddressPrefix(text);
  } catch (error) {
    if (error instanceof X0Error) return undefined;
    throw error;
  }
}
