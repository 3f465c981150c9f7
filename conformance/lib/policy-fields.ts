/**
 * Each field of the policies' language with what it must allow and deny on a real network (`policy-net.ts`), and by
 * which rule. `edge` is judged; `near` (role=web, zone=a) and `mate` (role=cache, zone=b) are members, `far` and
 * `other` are of the world; `web` and `app` (tier=front) are units of `edge`. Every connection is made over both IP versions unless it says which.
 */
import { units } from "./policy-net.ts";

/** Connections as `edge < near tcp/8080`, and the path of the rule that decides, "" where none has a say. */
export type Expected = Readonly<Record<string, string>>;

export interface Field {
  readonly name: string;
  readonly text: string;
  readonly audit?: boolean;
  /** Whether what manages the host, and loopback, passes; default true. */
  readonly management?: boolean;
  /** Allowed as well, and made before the others. */
  readonly first?: Expected;
  readonly allowed: Expected;
  readonly denied: Expected;
}

/** Of a unit of `edge`. */
const unitLabel = (name: keyof typeof units): string => `{matchLabels: {unit: ${units[name]}}}`;

/** Path of the verdicts of `policy.management_ports`. */
export const MANAGEMENT = "management";

type Kind = "CiliumNetworkPolicy" | "CiliumClusterwideNetworkPolicy";

function policy(name: string, body: string, kind: Kind = "CiliumNetworkPolicy"): string {
  const indented = body.trim().replaceAll("\n", "\n  ");
  return `apiVersion: cilium.io/v2\nkind: ${kind}\nmetadata: {name: ${name}}\n${indented.startsWith("specs:") ? body.trim() : `spec:\n  ${indented}`}\n`;
}

/** The same rule in both directions: `from…` of the ingress rule, `to…` of the egress rule. */
interface Symmetric {
  readonly subject?: string;
  readonly kind?: Kind;
  /** `Endpoints: [{}]`: a peer field without its `from` or `to`. */
  readonly peers?: string;
  /** `toPorts` or `icmps`. */
  readonly ports?: string;
  /** Documents beside it. */
  readonly beside?: string;
  /** `near tcp/8080`: from there and to there. */
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
}

function bothWays(name: string, options: Symmetric): Field {
  const { subject = "endpointSelector: {}", kind, peers, ports, beside = "" } = options;
  const rule = (word: string): string =>
    `{${[peers === undefined ? [] : `${word}${peers}`, ports ?? []].flat().join(", ")}}`;
  const body = `${subject}\ningress: [${rule("from")}]\negress: [${rule("to")}]`;
  const expected = (list: readonly string[], index: string): Expected =>
    Object.fromEntries(
      list.flatMap((line) => [
        [`edge < ${line}`, `spec.ingress${index}`],
        [`edge > ${line}`, `spec.egress${index}`],
      ]),
    );
  return {
    name,
    text: policy(name, body, kind) + beside,
    allowed: expected(options.allowed, "[0]"),
    denied: expected(options.denied, ""),
  };
}

const port8080 = 'toPorts: [{ports: [{port: "8080"}]}]';
const group = `---
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: partners, labels: {trust: low}}
spec: {externalCIDRs: [10.77.2.2/32, "fd77:0:0:2::2/128"]}
`;

export const fields: readonly Field[] = [
  bothWays("endpoint-selector-labels", {
    subject: "endpointSelector: {matchLabels: {role: db}}",
    ports: port8080,
    allowed: ["near tcp/8080"],
    denied: ["near tcp/8081"],
  }),
  bothWays("endpoint-selector-expressions", {
    subject:
      "endpointSelector: {matchExpressions: [{key: role, operator: In, values: [db, web]}, {key: zone, operator: NotIn, values: [b]}, {key: role, operator: Exists}, {key: gone, operator: DoesNotExist}]}",
    ports: port8080,
    allowed: ["far tcp/8080"],
    denied: ["far tcp/8081"],
  }),
  bothWays("node-selector", {
    kind: "CiliumClusterwideNetworkPolicy",
    subject: "nodeSelector: {matchLabels: {role: db}}",
    ports: port8080,
    allowed: ["near tcp/8080"],
    denied: ["near tcp/8081"],
  }),
  {
    name: "selects-others",
    text: policy(
      "selects-others",
      `specs:
- {endpointSelector: {matchLabels: {role: cache}}, ingress: [{}], egress: [{}]}
- {endpointSelector: {matchLabels: {role: db}}, ingress: [{${port8080}}]}`,
    ),
    allowed: { "edge > near tcp/8081": "", "edge < near tcp/8080": "specs[1].ingress[0]" },
    denied: { "edge < near tcp/8081": "specs[1].ingress" },
  },
  bothWays("endpoints-labels", {
    peers: "Endpoints: [{matchLabels: {role: web}}]",
    allowed: ["near tcp/8080", "near icmp"],
    denied: ["mate tcp/8080", "far tcp/8080", "mate icmp"],
  }),
  bothWays("endpoints-expressions", {
    peers:
      "Endpoints: [{matchExpressions: [{key: role, operator: In, values: [web, cache]}, {key: zone, operator: NotIn, values: [a]}, {key: zone, operator: Exists}, {key: gone, operator: DoesNotExist}]}]",
    allowed: ["mate tcp/8080"],
    denied: ["near tcp/8080", "far tcp/8080"],
  }),
  bothWays("nodes", {
    peers: "Nodes: [{matchLabels: {zone: a}}]",
    allowed: ["near tcp/8080"],
    denied: ["mate tcp/8080", "far tcp/8080"],
  }),
  bothWays("cidr", {
    peers: 'CIDR: [10.77.2.2, "fd77:0:0:2::2/128"]',
    allowed: ["far tcp/8080", "far udp/53"],
    denied: ["other tcp/8080", "other udp/53"],
  }),
  bothWays("cidr-without-members", {
    peers: 'CIDR: [10.77.0.0/16, "fd77::/16"]',
    allowed: ["far tcp/8080"],
    denied: ["near tcp/8080", "mate tcp/8080"],
  }),
  bothWays("cidr-set-except", {
    peers:
      'CIDRSet: [{cidr: 10.77.2.0/24, except: [10.77.2.3/32]}, {cidr: "fd77:0:0:2::/64", except: ["fd77:0:0:2::3/128"]}]',
    allowed: ["far tcp/8080"],
    denied: ["other tcp/8080"],
  }),
  bothWays("cidr-group-ref", {
    peers: "CIDRSet: [{cidrGroupRef: partners}]",
    beside: group,
    allowed: ["far tcp/8080"],
    denied: ["other tcp/8080"],
  }),
  bothWays("cidr-group-selector", {
    peers: "CIDRSet: [{cidrGroupSelector: {matchLabels: {trust: low}}}]",
    beside: group,
    allowed: ["far tcp/8080"],
    denied: ["other tcp/8080"],
  }),
  bothWays("entity-all", {
    peers: "Entities: [all]",
    ports: port8080,
    allowed: ["near tcp/8080", "far tcp/8080"],
    denied: ["near tcp/8081", "far tcp/8081"],
  }),
  bothWays("entity-world", {
    peers: "Entities: [world]",
    allowed: ["far tcp/8080"],
    denied: ["near tcp/8080"],
  }),
  bothWays("entity-world-ipv4", {
    peers: "Entities: [world-ipv4]",
    allowed: ["far tcp/8080 ipv4"],
    denied: ["far tcp/8080 ipv6", "near tcp/8080"],
  }),
  bothWays("entity-world-ipv6", {
    peers: "Entities: [world-ipv6]",
    allowed: ["far tcp/8080 ipv6"],
    denied: ["far tcp/8080 ipv4", "near tcp/8080"],
  }),
  bothWays("entity-remote-node", {
    peers: "Entities: [remote-node]",
    allowed: ["near tcp/8080"],
    denied: ["far tcp/8080"],
  }),
  bothWays("entity-cluster", {
    peers: "Entities: [cluster]",
    allowed: ["near tcp/8080"],
    denied: ["far tcp/8080"],
  }),
  {
    name: "entity-host",
    text: policy("entity-host", `endpointSelector: {}\negress: [{toEntities: [host], ${port8080}}]`),
    management: false,
    allowed: { "edge > edge tcp/8080": "spec.egress[0]" },
    denied: { "edge > edge tcp/8081": "spec.egress", "edge > near tcp/8080": "spec.egress" },
  },
  bothWays("ports-udp", {
    ports: 'toPorts: [{ports: [{port: "53", protocol: UDP}]}]',
    allowed: ["near udp/53"],
    denied: ["near tcp/53"],
  }),
  bothWays("ports-tcp", {
    ports: 'toPorts: [{ports: [{port: "53", protocol: TCP}, {port: "5201", protocol: TCP}]}]',
    allowed: ["near tcp/53", "near tcp/5201"],
    denied: ["near udp/53", "near udp/5201"],
  }),
  bothWays("ports-any-protocol", {
    ports: 'toPorts: [{ports: [{port: "53"}, {port: "5201", protocol: ANY}]}]',
    allowed: ["near udp/53", "near tcp/53", "near udp/5201"],
    denied: ["near tcp/8080", "near icmp"],
  }),
  bothWays("ports-by-name", {
    ports: "toPorts: [{ports: [{port: web}, {port: domain, protocol: UDP}]}]",
    allowed: ["near tcp/8080", "near udp/53"],
    denied: ["near tcp/8081", "near tcp/53"],
  }),
  bothWays("ports-range", {
    ports: 'toPorts: [{ports: [{port: "8000", endPort: 8080, protocol: TCP}]}]',
    allowed: ["near tcp/8080"],
    denied: ["near tcp/8081"],
  }),
  bothWays("icmps", {
    ports: "icmps: [{fields: [{type: EchoRequest, family: IPv4}, {type: 128, family: IPv6}]}]",
    allowed: ["near icmp"],
    denied: ["near tcp/8080"],
  }),
  bothWays("icmps-other-types", {
    ports: "icmps: [{fields: [{type: 8}, {type: EchoReply, family: IPv6}]}]",
    allowed: ["near icmp ipv4"],
    denied: ["near icmp ipv6"],
  }),
  {
    name: "deny-wins",
    text: policy(
      "deny-wins",
      `endpointSelector: {}
ingress: [{fromEntities: [all]}]
ingressDeny: [{toPorts: [{ports: [{port: "8081"}]}]}, {fromEndpoints: [{matchLabels: {role: cache}}]}]
egress: [{toEntities: [all]}]
egressDeny: [{toPorts: [{ports: [{port: "8081"}]}]}, {toCIDR: [10.77.2.3/32, "fd77:0:0:2::3/128"]}]`,
    ),
    allowed: {
      "edge < near tcp/8080": "spec.ingress[0]",
      "edge > near tcp/8080": "spec.egress[0]",
      "edge > mate tcp/8080": "spec.egress[0]",
      "edge < other tcp/8080": "spec.ingress[0]",
    },
    denied: {
      "edge < near tcp/8081": "spec.ingressDeny[0]",
      "edge < mate tcp/8080": "spec.ingressDeny[1]",
      "edge > near tcp/8081": "spec.egressDeny[0]",
      "edge > other tcp/8080": "spec.egressDeny[1]",
    },
  },
  {
    name: "default-deny-off",
    text: policy(
      "default-deny-off",
      `endpointSelector: {}
enableDefaultDeny: {ingress: false, egress: false}
ingress: [{${port8080}}]
egressDeny: [{toPorts: [{ports: [{port: "8081"}]}]}]`,
    ),
    allowed: {
      "edge < near tcp/8080": "spec.ingress[0]",
      "edge < near tcp/8081": "",
      "edge > near tcp/8080": "",
    },
    denied: { "edge > near tcp/8081": "spec.egressDeny[0]" },
  },
  {
    name: "default-deny-on",
    text: policy(
      "default-deny-on",
      "endpointSelector: {}\nenableDefaultDeny: {ingress: true}\negress: [{toEntities: [all]}]",
    ),
    allowed: { "edge > near tcp/8080": "spec.egress[0]" },
    denied: { "edge < near tcp/8080": "spec.enableDefaultDeny.ingress" },
  },
  {
    name: "one-direction",
    text: policy("one-direction", "endpointSelector: {}\ningress: [{}]"),
    allowed: { "edge > near tcp/8080": "", "edge > near udp/53": "", "edge < near tcp/8082": MANAGEMENT },
    denied: {
      "edge < near tcp/8080": "spec.ingress",
      "edge < near udp/53": "spec.ingress",
      "edge < near icmp": "spec.ingress",
    },
  },
  {
    name: "no-management",
    text: policy("no-management", `endpointSelector: {}\ningress: [{${port8080}}]\negress: [{}]`),
    management: false,
    allowed: { "edge < far tcp/8080": "spec.ingress[0]" },
    denied: { "edge < near tcp/8082": "spec.ingress", "edge > edge tcp/8080": "spec.egress" },
  },
  {
    name: "workload-asked",
    text: policy(
      "workload-asked",
      `endpointSelector: ${unitLabel("web")}\ningress: [{fromEndpoints: [{matchLabels: {role: web}}], toPorts: [{ports: [{port: "8084"}]}]}]`,
    ),
    allowed: { "web < near tcp/8084": "spec.ingress[0]", "edge < mate tcp/8080": "" },
    denied: { "web < mate tcp/8084": "spec.ingress" },
  },
  {
    name: "workload-asks",
    text: policy(
      "workload-asks",
      `endpointSelector: {matchLabels: {tier: front}}\negress: [{toEndpoints: [{matchLabels: {role: web}}]}]`,
    ),
    allowed: { "app > near tcp/8080": "spec.egress[0]", "edge > far tcp/8080": "" },
    denied: { "app > far tcp/8080": "spec.egress" },
  },
  {
    name: "workload-from-workload",
    text: policy(
      "workload-from-workload",
      `endpointSelector: ${unitLabel("web")}\ningress: [{fromEndpoints: [{matchLabels: {tier: front}}]}]`,
    ),
    management: false,
    allowed: { "web < app tcp/8084": "spec.ingress[0]" },
    denied: { "web < edge tcp/8084": "spec.ingress", "web < near tcp/8084": "spec.ingress" },
  },
  {
    name: "workload-to-workload",
    text: policy(
      "workload-to-workload",
      `endpointSelector: ${unitLabel("app")}\negress: [{toEndpoints: [${unitLabel("web")}]}]`,
    ),
    management: false,
    allowed: { "app > web tcp/8084": "spec.egress[0]" },
    denied: { "app > edge tcp/8080": "spec.egress", "app > near tcp/8080": "spec.egress" },
  },
  {
    name: "workload-entity-host",
    text: policy(
      "workload-entity-host",
      `endpointSelector: ${unitLabel("app")}\negress: [{toEntities: [host]}]`,
    ),
    management: false,
    allowed: { "app > web tcp/8084": "spec.egress[0]", "app > edge tcp/8080": "spec.egress[0]" },
    denied: { "app > near tcp/8080": "spec.egress" },
  },
  ...["matchName: www.example.test", 'matchPattern: "*.example.test"', 'matchPattern: "**.test"'].map(
    (selector, index): Field => ({
      name: `fqdns-${index}`,
      text: policy(
        `fqdns-${index}`,
        `endpointSelector: {}
egress: [{toFQDNs: [{${selector}}], ${port8080}}, {toEndpoints: [{matchLabels: {role: web}}], toPorts: [{ports: [{port: "53"}]}]}]`,
      ),
      first: { "edge > near udp/53": "spec.egress[1]" },
      allowed: { "edge > far tcp/8080": "spec.egress[0]" },
      denied: { "edge > other tcp/8080": "spec.egress", "edge > far tcp/8081": "spec.egress" },
    }),
  ),
  {
    name: "fqdns-of-others",
    text: policy(
      "fqdns-of-others",
      `endpointSelector: {}
egress: [{toFQDNs: [{matchName: www.example.org}]}, {toPorts: [{ports: [{port: "53"}]}]}]`,
    ),
    first: { "edge > near udp/53": "spec.egress[1]" },
    allowed: {},
    denied: { "edge > far tcp/8080": "spec.egress" },
  },
  {
    name: "specs",
    text: policy(
      "specs",
      `specs:
- endpointSelector: {}
  description: who may ask
  ingress: [{${port8080}}]
- endpointSelector: {}
  description: who may be asked
  log: {value: asked}
  egress: [{${port8080}}]`,
    ),
    allowed: { "edge < near tcp/8080": "specs[0].ingress[0]", "edge > near tcp/8080": "specs[1].egress[0]" },
    denied: { "edge < near tcp/8081": "specs[0].ingress", "edge > near tcp/8081": "specs[1].egress" },
  },
  {
    name: "audit",
    text: policy("audit", "endpointSelector: {}\ningress: [{}]\negress: [{}]"),
    audit: true,
    allowed: { "edge < near tcp/8080": "spec.ingress", "edge > near udp/53": "spec.egress" },
    denied: {},
  },
];
