/**
 * What Cilium's documentation shows (Documentation/security/policy: layer 3, layer 4, deny, host policies, default
 * deny), with hosts instead of pods, and the verdicts that follow.
 */
import { describe, expect, test } from "vitest";
import { evaluate } from "../evaluate.ts";
import { decodeYaml, isAllowed } from "../testing/second-reading.ts";
import { attemptOf, clusterwide, readPolicies, smallWorld } from "../testing/small-world.ts";

interface Example {
  readonly spec: string;
  readonly allowed: readonly string[];
  readonly denied: readonly string[];
}

const examples: Readonly<Record<string, Example>> = {
  "layer 3: endpoints by labels": {
    spec: `
endpointSelector: {matchLabels: {app: nginx}}
ingress:
- fromEndpoints:
  - matchLabels: {role: web}`,
    allowed: [
      "nginx < web tcp/80",
      "nginx < web udp/9",
      "nginx < web icmp/8",
      "redis < db tcp/80",
      "nginx > db tcp/1",
    ],
    denied: ["nginx < db tcp/80", "nginx < 8.8.8.8 tcp/80", "nginx < redis tcp/80", "nginx < host tcp/80"],
  },
  "layer 3: all endpoints": {
    spec: `
endpointSelector: {matchLabels: {app: nginx}}
ingress:
- fromEndpoints:
  - {}`,
    allowed: ["nginx < web tcp/80", "nginx < redis tcp/80", "nginx < host tcp/80"],
    denied: ["nginx < 8.8.8.8 tcp/80", "nginx < 2001:db8:8::8 tcp/80"],
  },
  "layer 3: default deny of one direction by an empty rule": {
    spec: `
endpointSelector: {matchLabels: {app: nginx}}
ingress:
- {}`,
    allowed: ["nginx > web tcp/80", "redis < web tcp/80"],
    denied: ["nginx < web tcp/80", "nginx < host tcp/80", "nginx < 8.8.8.8 icmp/8"],
  },
  "layer 3: everybody by an entity": {
    spec: `
endpointSelector: {}
egress:
- toEntities: [all]`,
    allowed: ["nginx > web tcp/80", "nginx > 8.8.8.8 gre/0", "node > 2001:db8:8::8 udp"],
    denied: [],
  },
  "layer 3: entities": {
    spec: `
nodeSelector: {}
ingress:
- fromEntities: [remote-node]
egress:
- toEntities: [cluster, world-ipv6]`,
    allowed: [
      "node < db tcp/22",
      "node < db-ipv6 tcp/22",
      "node > web tcp/1",
      "node > redis tcp/1",
      "node > 2001:db8:8::8 udp/53",
      "nginx < 8.8.8.8 tcp/1",
    ],
    denied: ["node < 8.8.8.8 tcp/22", "node < host tcp/22", "node > 8.8.8.8 udp/53"],
  },
  "layer 3: nodes by labels, never this one": {
    spec: `
endpointSelector: {matchLabels: {app: nginx}}
ingress:
- fromNodes:
  - matchExpressions:
    - {key: env, operator: In, values: [prod]}`,
    allowed: ["nginx < db tcp/80", "nginx < db-ipv6 tcp/80"],
    denied: ["nginx < web tcp/80", "nginx < host tcp/80", "nginx < redis tcp/80"],
  },
  "layer 3: prefixes, which select nobody of the fleet": {
    spec: `
endpointSelector: {matchLabels: {role: edge}}
egress:
- toCIDR: [203.0.113.5/32, "2001:db8:9::/48", 192.0.2.0/24]
- toCIDRSet:
  - cidr: 10.0.0.0/8
    except: [10.96.0.0/12]`,
    allowed: [
      "node > 203.0.113.5 tcp/1",
      "node > 2001:db8:9::7 tcp/1",
      "node > 10.1.2.3 icmp/8",
      "node > 192.0.2.99 tcp/1",
    ],
    denied: [
      "node > 203.0.113.6 tcp/1",
      "node > 10.96.0.1 tcp/1",
      "node > 10.111.255.255 tcp/1",
      "node > db tcp/1",
    ],
  },
  "layer 3: every IPv6 address is no IPv4 address": {
    spec: `
endpointSelector: {}
egress:
- toCIDR: ["::/0"]`,
    allowed: ["node > 2001:db8:8::8 tcp/1"],
    denied: ["node > 8.8.8.8 tcp/1", "node > db-ipv6 tcp/1"],
  },
  "layer 3: DNS names": {
    spec: `
endpointSelector: {}
egress:
- toFQDNs:
  - matchName: example.org
  - matchPattern: "*.example.net"
  toPorts:
  - ports: [{port: "443", protocol: TCP}]`,
    allowed: ["node > 203.0.113.5 tcp/443", "node > 2001:db8:9::7 tcp/443"],
    denied: ["node > 203.0.113.5 udp/443", "node > 203.0.113.6 tcp/443", "node > db tcp/443"],
  },
  "layer 4: ports alone are everybody's": {
    spec: `
endpointSelector: {matchLabels: {app: nginx}}
egress:
- toPorts:
  - ports:
    - {port: "80", protocol: TCP}`,
    allowed: ["nginx > 8.8.8.8 tcp/80", "nginx > db tcp/80"],
    denied: ["nginx > 8.8.8.8 tcp/81", "nginx > 8.8.8.8 udp/80", "nginx > 8.8.8.8 icmp/8", "nginx > db tcp"],
  },
  "layer 4: ranges, and any protocol with ports": {
    spec: `
endpointSelector: {}
ingress:
- fromEntities: [world]
  toPorts:
  - ports:
    - {port: "1024", endPort: 2048}
    - {port: "0", protocol: UDP}`,
    allowed: [
      "node < 8.8.8.8 tcp/1024",
      "node < 8.8.8.8 sctp/2048",
      "node < 8.8.8.8 udp/1",
      "node < 8.8.8.8 udp",
    ],
    denied: [
      "node < 8.8.8.8 tcp/1023",
      "node < 8.8.8.8 tcp/2049",
      "node < 8.8.8.8 tcp",
      "node < db tcp/1024",
    ],
  },
  "layer 4: ICMP by name and number": {
    spec: `
endpointSelector: {}
ingress:
- fromEntities: [all]
  icmps:
  - fields:
    - type: EchoRequest
    - {family: IPv6, type: EchoRequest}
    - {type: 13}`,
    allowed: ["node < 8.8.8.8 icmp/8", "node < 8.8.8.8 icmp/13", "node < 2001:db8:8::8 icmpv6/128"],
    denied: [
      "node < 8.8.8.8 icmp/0",
      "node < 2001:db8:8::8 icmpv6/129",
      "node < 8.8.8.8 tcp/8",
      "node < 8.8.8.8 icmp",
    ],
  },
  "deny: it wins, and what nothing allows stays denied": {
    spec: `
endpointSelector: {}
ingress:
- fromEntities: [all]
ingressDeny:
- fromEndpoints:
  - matchLabels: {role: web}
- fromEntities: [world]
  toPorts:
  - ports: [{port: "22", protocol: TCP}]`,
    allowed: ["node < db tcp/22", "node < 8.8.8.8 tcp/80", "node < 8.8.8.8 tcp"],
    denied: ["node < web tcp/80", "node < 8.8.8.8 tcp/22"],
  },
  "deny: a spec with deny rules alone denies all of the direction": {
    spec: `
endpointSelector: {}
egressDeny:
- toEntities: [world]`,
    allowed: ["node < db tcp/22"],
    denied: ["node > 8.8.8.8 tcp/22", "node > db tcp/22"],
  },
  "default deny off: only what is denied is denied": {
    spec: `
endpointSelector: {}
enableDefaultDeny: {egress: false}
egressDeny:
- toCIDR: [8.8.8.8/32]`,
    allowed: ["node > db tcp/22", "node > 10.1.2.3 tcp/22"],
    denied: ["node > 8.8.8.8 tcp/22"],
  },
  "default deny on for a direction without rules": {
    spec: `
endpointSelector: {}
enableDefaultDeny: {ingress: true}
egress:
- toEntities: [all]`,
    allowed: ["node > db tcp/22"],
    denied: ["node < db tcp/22"],
  },
  "labels: expressions, all of which must hold; what lacks the key fulfils NotIn": {
    spec: `
endpointSelector:
  matchLabels: {k8s:env: prod}
  matchExpressions:
  - {key: any:app, operator: NotIn, values: [redis]}
  - {key: role, operator: DoesNotExist}
ingress:
- fromEndpoints:
  - matchExpressions: [{key: env, operator: NotIn, values: [dev]}, {key: reserved:host, operator: DoesNotExist}]`,
    allowed: ["nginx < db tcp/1", "nginx < redis tcp/1", "node < web tcp/1", "redis < web tcp/1"],
    denied: ["nginx < web tcp/1", "nginx < host tcp/1", "nginx < 8.8.8.8 tcp/1"],
  },
  "labels: the world among endpoints": {
    spec: `
endpointSelector: {}
ingress:
- fromEndpoints:
  - matchLabels: {reserved:world: ""}
  - matchLabels: {reserved:remote-node: ""}`,
    allowed: ["node < 8.8.8.8 tcp/1", "node < 2001:db8:8::8 tcp/1", "node < db tcp/1"],
    denied: ["node < host tcp/1", "node < redis tcp/1"],
  },
};

/** Each field in turn, with the least around it. */
const fields: Readonly<Record<string, Example>> = {
  toEndpoints: {
    spec: "endpointSelector: {}\negress: [{toEndpoints: [{matchLabels: {app: redis}}, {matchLabels: {role: db}}]}]",
    allowed: ["nginx > redis tcp/1", "node > db-ipv6 tcp/1"],
    denied: ["node > web tcp/1", "node > 8.8.8.8 tcp/1"],
  },
  toNodes: {
    spec: "endpointSelector: {}\negress: [{toNodes: [{}]}]",
    allowed: ["nginx > db tcp/1", "nginx > web tcp/1"],
    denied: ["nginx > host tcp/1", "nginx > redis tcp/1", "nginx > 8.8.8.8 tcp/1"],
  },
  fromCIDR: {
    spec: "endpointSelector: {}\ningress: [{fromCIDR: [10.1.2.3, '2001:db8:8::/48']}]",
    allowed: ["node < 10.1.2.3 tcp/1", "node < 2001:db8:8::8 tcp/1"],
    denied: ["node < 10.1.2.4 tcp/1", "node < 2001:db8:9::7 tcp/1", "node < db tcp/1"],
  },
  "fromCIDRSet with except": {
    spec: "endpointSelector: {}\ningress: [{fromCIDRSet: [{cidr: 0.0.0.0/0, except: [10.0.0.0/8]}]}]",
    allowed: ["node < 8.8.8.8 tcp/1"],
    denied: ["node < 10.1.2.3 tcp/1", "node < 2001:db8:8::8 tcp/1", "node < host tcp/1"],
  },
  "entity world": {
    spec: "endpointSelector: {}\ningress: [{fromEntities: [world]}]",
    allowed: ["node < 8.8.8.8 tcp/1", "node < 2001:db8:8::8 tcp/1"],
    denied: ["node < db tcp/1", "nginx < redis tcp/1", "nginx < host tcp/1"],
  },
  "entity world-ipv4": {
    spec: "endpointSelector: {}\ningress: [{fromEntities: [world-ipv4]}]",
    allowed: ["node < 8.8.8.8 tcp/1"],
    denied: ["node < 2001:db8:8::8 tcp/1", "node < db tcp/1"],
  },
  "entity host": {
    spec: "endpointSelector: {}\negress: [{toEntities: [host]}]",
    allowed: ["nginx > host tcp/1", "nginx > redis tcp/1"],
    denied: ["nginx > db tcp/1", "nginx > 8.8.8.8 tcp/1"],
  },
  "entity remote-node": {
    spec: "endpointSelector: {}\negress: [{toEntities: [remote-node]}]",
    allowed: ["nginx > db tcp/1", "node > web tcp/1"],
    denied: ["nginx > host tcp/1", "nginx > redis tcp/1", "nginx > 8.8.8.8 tcp/1"],
  },
  "entity cluster": {
    spec: "endpointSelector: {}\negress: [{toEntities: [cluster]}]",
    allowed: ["nginx > host tcp/1", "nginx > redis tcp/1", "nginx > db tcp/1"],
    denied: ["nginx > 8.8.8.8 tcp/1"],
  },
  "matchPattern with two stars": {
    spec: "endpointSelector: {}\negress: [{toFQDNs: [{matchPattern: '**.example.org'}]}]",
    allowed: ["node > 203.0.113.5 tcp/1", "node > 203.0.113.6 tcp/1"],
    denied: ["node > 2001:db8:9::7 tcp/1", "node > 8.8.8.8 tcp/1"],
  },
  "empty lists select nobody": {
    spec: "endpointSelector: {}\negress: [{toFQDNs: []}, {toPorts: [], toEntities: []}, {toEndpoints: [], toCIDR: [8.8.8.8]}]",
    allowed: ["node < 8.8.8.8 tcp/1"],
    denied: ["node > 203.0.113.5 tcp/1", "node > 8.8.8.8 tcp/1"],
  },
  "ports by name, with the protocols that the name has": {
    spec: "endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: HTTPS}, {port: web, protocol: TCP}]}]}]",
    allowed: ["node < 8.8.8.8 tcp/443", "node < 8.8.8.8 udp/443", "node < 8.8.8.8 tcp/8080"],
    denied: ["node < 8.8.8.8 sctp/443", "node < 8.8.8.8 udp/8080", "node < 8.8.8.8 tcp/80"],
  },
  "port 0 with endPort, protocol in small letters": {
    spec: 'endpointSelector: {}\ningress: [{toPorts: [{ports: [{port: "0", endPort: 100, protocol: sctp}]}]}]',
    allowed: ["node < 8.8.8.8 sctp/100"],
    denied: ["node < 8.8.8.8 sctp/101", "node < 8.8.8.8 tcp/100"],
  },
  "toPorts and icmps without ports": {
    spec: "endpointSelector: {}\ningress: [{toPorts: [{}]}, {fromEntities: [world], icmps: [{fields: []}]}]",
    allowed: [],
    denied: ["node < 8.8.8.8 tcp/1", "node < 8.8.8.8 icmp/8"],
  },
  "egressDeny with ports, with ICMP, and empty": {
    spec: `
endpointSelector: {}
egress: [{toEntities: [all]}]
egressDeny:
- toNodes: [{matchLabels: {role: db}}]
  toPorts: [{ports: [{port: "5432"}]}]
- icmps: [{fields: [{type: 8}]}]
- {}`,
    allowed: ["node > db tcp/80", "node > web tcp/5432", "node > db icmp/0"],
    denied: ["node > db tcp/5432", "node > db udp/5432", "node > 8.8.8.8 icmp/8"],
  },
  nodeSelector: {
    spec: "nodeSelector: {matchLabels: {role: edge}}\ningress: [{}]",
    allowed: ["nginx < db tcp/1"],
    denied: ["node < db tcp/1"],
  },
  "reserved:host as a subject": {
    spec: 'endpointSelector: {matchLabels: {reserved:host: ""}}\ningress: [{}]',
    allowed: ["nginx < db tcp/1"],
    denied: ["node < db tcp/1"],
  },
};

describe.each(Object.entries({ ...examples, ...fields }))("%s", (_, { spec, allowed, denied }) => {
  const text = clusterwide(spec.trim());
  const { set } = readPolicies(text);
  const decoded = decodeYaml(text);
  const decide = (attempt: string): unknown => [
    evaluate(set, smallWorld, attemptOf(attempt)).decision,
    isAllowed(decoded, smallWorld, attemptOf(attempt)),
  ];
  if (allowed.length > 0)
    test.each(allowed)("allows %s", (attempt) => expect(decide(attempt)).toEqual(["allow", true]));
  if (denied.length > 0)
    test.each(denied)("denies %s", (attempt) => expect(decide(attempt)).toEqual(["deny", false]));
});
