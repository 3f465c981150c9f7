/** Files of policies damaged in every place, seeded: in their bytes, and in the tree that they stand for. */
import type { Random } from "@x0tta6bl4/core";
import { stringify } from "yaml";
import { one } from "./choose.ts";
import { decodeYaml } from "./second-reading.ts";

/** What lies between them holds each field, and most shapes that a field can have. */
export const wholePolicies: readonly string[] = [
  `# a comment
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: web, namespace: default, labels: {tier: front}}
spec:
  description: web
  endpointSelector:
    matchLabels: {app: nginx}
    matchExpressions:
    - {key: env, operator: In, values: [prod, dev]}
  ingress:
  - fromEndpoints:
    - matchLabels: {k8s:role: db}
    - matchExpressions: [{key: role, operator: NotIn, values: [web]}]
    toPorts:
    - ports:
      - {port: "80", protocol: TCP}
      - {port: "8000", endPort: 9000}
  - fromCIDRSet:
    - cidr: 10.0.0.0/8
      except: [10.96.0.0/12]
    - cidrGroupRef: office
  - fromEntities: [host, world-ipv6]
  egress:
  - toFQDNs:
    - matchName: www.example.org
    - matchPattern: "**.example.org"
    toPorts:
    - ports: [{port: https, protocol: TCP}]
  - toCIDR: [8.8.8.8/32, "2001:db8:8::/48"]
    icmps:
    - fields: [{type: EchoRequest}, {family: IPv6, type: 128}]
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: office, labels: {trust: high}}
spec: {externalCIDRs: [203.0.113.0/24]}
`,
  `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata:
  name: base
specs:
- nodeSelector: {matchLabels: {role: edge}}
  enableDefaultDeny: {ingress: true, egress: false}
  ingress:
  - fromNodes: [{matchLabels: {env: prod}}]
  - toPorts: [{ports: [{port: "22", protocol: TCP}]}]
  ingressDeny:
  - fromEntities: [world-ipv4]
    toPorts: [{ports: [{port: "0", protocol: UDP}]}]
  egressDeny:
  - toEntities: [world]
    icmps: [{fields: [{type: 8}]}]
- endpointSelector: {}
  log: {value: all}
  egress:
  - toEndpoints: [{}, {matchLabels: {reserved:world: ""}}]
  - {}
`,
  `apiVersion: cilium.io/v2
kind: CiliumClusterwideNetworkPolicy
metadata: {name: anchored}
spec:
  endpointSelector: &any {}
  ingress:
  - fromEndpoints: [*any]
    toPorts: &web
    - ports: [{port: "443"}, {port: "53", protocol: UDP}]
  - fromCIDR: [0.0.0.0/0]
    toPorts: *web
  egress:
  - toEntities: [all]
  egressDeny:
  - toCIDRSet: [{cidrGroupSelector: {matchLabels: {trust: high}}}]
---
{"apiVersion": "cilium.io/v2", "kind": "CiliumCIDRGroup", "metadata": {"name": "g", "labels": {"trust": "high"}},
 "spec": {"externalCIDRs": ["10.0.0.0/8", "2001:db8:9::/48"]}}
`,
  `apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: mild}
spec:
  endpointSelector: {matchExpressions: [{key: app, operator: Exists}]}
  enableDefaultDeny: {ingress: false, egress: false}
  ingress:
  - fromEntities: [all]
  ingressDeny:
  - fromEndpoints: [{matchExpressions: [{key: app, operator: DoesNotExist}]}]
  - fromCIDRSet: [{cidrGroupRef: home}, {cidrGroupSelector: {matchLabels: {trust: low}}, except: [10.1.2.0/24]}]
  - toPorts: [{ports: [{port: dns}]}]
  egressDeny:
  - toNodes: [{matchLabels: {role: web}}]
    toPorts: [{ports: [{port: "0"}]}, {ports: [{port: dns, protocol: UDP}]}]
---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: home, labels: {trust: high}}
spec: {externalCIDRs: [8.8.8.0/24]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumCIDRGroup
metadata: {name: guests, labels: {trust: low}}
spec: {externalCIDRs: [10.1.0.0/16, "2001:db8:8::/48"]}
`,
];

const pieces = [
  ...[
    "\n",
    "  ",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "#",
    "&a ",
    "*a",
    '"',
    "'",
    "|",
    ">",
    "!",
    "%",
    "@",
    "\t",
    "~",
    "\0",
    "\x1b",
  ],
  ..."0 1 8 80 32 128 a app true null yes 0x10 1e3 all world TCP ANY Exists NotIn ingress egressDeny {} [] -".split(
    " ",
  ),
];

/** The text with some pieces put in, taken out, exchanged or repeated. */
export function damagedText(random: Random): string {
  let text = one(random, wholePolicies);
  const isMild = random.below(2) === 0;
  for (let count = 1 + random.below(isMild ? 2 : 4); count > 0; count--)
    text = isMild ? mildly(random, text) : badly(random, text);
  return text;
}

/** A line lost or repeated, or a digit changed: often still a policy. */
function mildly(random: Random, text: string): string {
  const lines = text.split("\n");
  const at = random.below(lines.length);
  const digits = [...text.matchAll(/\d/g)];
  switch (random.below(3)) {
    case 0:
      return lines.toSpliced(at, 1).join("\n");
    case 1:
      return lines.toSpliced(at, 0, lines[at] as string).join("\n");
    default: {
      const { index } = one(random, digits);
      return text.slice(0, index) + random.below(10) + text.slice(index + 1);
    }
  }
}

function badly(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const length = random.below(3) === 0 ? random.below(60) : random.below(4);
  const piece =
    random.below(3) === 0 ? text.slice(random.below(text.length)).slice(0, length + 1) : one(random, pieces);
  const kept = text.slice(at + (random.below(2) === 0 ? length : 0));
  return text.slice(0, at) + (random.below(4) === 0 ? "" : piece) + kept;
}

const values: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    1,
    8,
    80,
    65_536,
    -1,
    1.5,
    "",
    "80",
    "443",
    "0",
    "http",
    "https",
    "app",
    "role",
    "prod",
    "db",
    "nginx",
  ],
  ...[
    "TCP",
    "UDP",
    "ANY",
    "SCTP",
    "In",
    "NotIn",
    "Exists",
    "DoesNotExist",
    "IPv4",
    "IPv6",
    "EchoReply",
    "PacketTooBig",
  ],
  ...[
    "10.0.0.0/8",
    "10.96.0.1/32",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "8.8.8.8",
    "*.example.org",
    "**.org",
    "*",
    "example.org",
  ],
  ...[
    "all",
    "world",
    "host",
    "remote-node",
    "cluster",
    "world-ipv4",
    "kube-apiserver",
    "office",
    "CiliumNetworkPolicy",
  ],
  ...[[], {}, [{}], ["all"], [{ port: "53" }], { matchLabels: { env: "prod" } }, [{ fields: [{ type: 0 }] }]],
];
const names =
  "spec specs endpointSelector nodeSelector ingress ingressDeny egress egressDeny fromEndpoints toEndpoints fromNodes toNodes fromCIDR toCIDR fromCIDRSet toCIDRSet fromEntities toEntities toFQDNs toPorts ports port endPort protocol icmps fields family type matchLabels matchExpressions key operator values cidr except cidrGroupRef cidrGroupSelector matchName matchPattern enableDefaultDeny description log fromRequires rules labels constructor".split(
    " ",
  );

/** A tree with some fields lost, renamed, added, exchanged or given other values. */
export function damagedTree(random: Random): string {
  const documents = decodeYaml(one(random, wholePolicies)).map((one) => structuredClone(one));
  const isMild = random.below(2) === 0;
  for (let count = 1 + random.below(3); count > 0; count--) {
    const containers = containersOf(documents);
    if (isMild) vary(random, one(random, containers), containers);
    else damage(random, containers);
  }
  return documents
    .map((document) => (random.below(3) === 0 ? `${JSON.stringify(document)}\n` : stringify(document)))
    .join("---\n");
}

type Container = Record<string, unknown> | unknown[];

function containersOf(value: unknown): Container[] {
  if (typeof value !== "object" || value === null) return [];
  return [value as Container, ...Object.values(value).flatMap(containersOf)];
}

/** An item or field lost, an item repeated, or a value that stands under the same name elsewhere: mostly a policy. */
function vary(random: Random, container: Container, all: readonly Container[]): void {
  const keys = Object.keys(container);
  if (keys.length === 0) return;
  const key = one(random, keys);
  if (Array.isArray(container)) {
    if (random.below(2) === 0) container.splice(Number(key), 1);
    else container.push(structuredClone(container[Number(key)]));
  } else if (random.below(3) === 0) delete container[key];
  else {
    const alike = all.flatMap((other) => (!Array.isArray(other) && key in other ? [other[key]] : []));
    container[key] = structuredClone(one(random, alike));
  }
}

function damage(random: Random, containers: readonly Container[]): void {
  const container = one(random, containers);
  const other = one(random, containers);
  const keys = Object.keys(container);
  const others = Object.keys(other);
  const value = (): unknown => structuredClone(one(random, values));
  const set = (key: string, next: unknown): void => {
    if (!Array.isArray(container)) container[key] = next;
    else if (Number(key) < container.length) container[Number(key)] = next;
    else container.push(next);
  };
  const key = keys.length === 0 ? "0" : one(random, keys);
  const kept = Array.isArray(container) ? container[Number(key)] : container[key];
  const remove = (): void => {
    if (Array.isArray(container)) container.splice(Number(key), 1);
    else delete container[key];
  };
  switch (random.below(6)) {
    case 0:
      remove();
      break;
    case 1:
      if (keys.length > 0) set(key, value());
      break;
    case 2:
      set(Array.isArray(container) ? String(container.length) : one(random, names), value());
      break;
    case 3:
      remove();
      if (!Array.isArray(container) && kept !== undefined) set(one(random, names), kept);
      break;
    case 4:
      if (kept !== undefined) set(key, random.below(2) === 0 ? [kept] : [kept, structuredClone(kept)]);
      break;
    case 5:
      if (others.length > 0)
        set(
          key,
          structuredClone(
            Array.isArray(other) ? other[random.below(other.length)] : other[one(random, others)],
          ),
        );
      break;
  }
}
