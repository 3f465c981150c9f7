/** What Cilium's objects hold (its CRDs), and which of it is not supported here, with the reason. */
import type { Schema } from "./fields.ts";

const read = "read";
const no = (unsupported: string, hint?: string): { unsupported: string; hint?: string } => ({
  unsupported,
  ...(hint === undefined ? {} : { hint }),
});

const layer7 = no("layer 7 is not judged", "leave it out to allow the port whatever is spoken on it");
const tls = no("TLS is not taken apart");
const groups = no("groups of a cloud's provider are not asked for", "write the prefixes");
const requires = no("Cilium has given it up", "add the labels to each selector");
const authentication = no("mutual authentication is not enforced");

/** What a server adds to the metadata of an object; without a meaning here. */
const servers = {
  annotations: read,
  creationTimestamp: read,
  deletionGracePeriodSeconds: read,
  deletionTimestamp: read,
  finalizers: read,
  generateName: read,
  generation: read,
  managedFields: read,
  ownerReferences: read,
  resourceVersion: read,
  selfLink: read,
  uid: read,
} as const satisfies Schema;

export const documentSchema: Schema = {
  apiVersion: read,
  kind: read,
  metadata: read,
  spec: read,
  specs: read,
  status: read,
};

export const metadataSchema: Schema = { name: read, namespace: read, labels: read, ...servers };

export const groupSpecSchema: Schema = { externalCIDRs: read };

export const specSchema: Schema = {
  endpointSelector: read,
  nodeSelector: read,
  ingress: read,
  ingressDeny: read,
  egress: read,
  egressDeny: read,
  enableDefaultDeny: read,
  description: read,
  labels: no("labels of a rule are not kept", "put them into metadata.labels"),
  log: read,
};

export const defaultDenySchema: Schema = { ingress: read, egress: read };
export const logSchema: Schema = { value: read };

const ingressDeny = {
  fromEndpoints: read,
  fromNodes: read,
  fromCIDR: read,
  fromCIDRSet: read,
  fromEntities: read,
  fromGroups: groups,
  fromRequires: requires,
  icmps: read,
  toPorts: read,
} as const satisfies Schema;

const egressDeny = {
  toEndpoints: read,
  toNodes: read,
  toCIDR: read,
  toCIDRSet: read,
  toEntities: read,
  toGroups: groups,
  toRequires: requires,
  toServices: no("there are no Kubernetes services here", "select their backends by labels or prefixes"),
  icmps: read,
  toPorts: read,
} as const satisfies Schema;

export const ruleSchemas: Readonly<Record<"ingress" | "ingressDeny" | "egress" | "egressDeny", Schema>> = {
  ingress: { ...ingressDeny, authentication },
  ingressDeny,
  egress: { ...egressDeny, toFQDNs: read, authentication },
  egressDeny,
};

export const portRuleSchema: Schema = {
  ports: read,
  rules: read,
  listener: no("there is no proxy to redirect to"),
  originatingTLS: tls,
  terminatingTLS: tls,
  serverNames: no("names within TLS are not judged", "toFQDNs judges by DNS names"),
};
export const portDenyRuleSchema: Schema = { ports: read };
export const layer7Schema: Schema = { dns: layer7, http: layer7, kafka: layer7, l7: layer7, l7proto: layer7 };
export const portSchema: Schema = { port: read, endPort: read, protocol: read };

export const icmpRuleSchema: Schema = { fields: read };
export const icmpFieldSchema: Schema = { family: read, type: read };

export const selectorSchema: Schema = { matchLabels: read, matchExpressions: read };
export const requirementSchema: Schema = { key: read, operator: read, values: read };

export const cidrRuleSchema: Schema = {
  cidr: read,
  cidrGroupRef: read,
  cidrGroupSelector: read,
  except: read,
};
export const nameSchema: Schema = { matchName: read, matchPattern: read };
