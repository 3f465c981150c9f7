/** Each field of Cilium's schema: read, refused as not supported with its path, or malformed. */
import { describe, expect, test } from "vitest";
import { clusterwide, testPorts } from "../testing/small-world.ts";
import { parsePolicies } from "./parse.ts";
import { exitOf, type Problem } from "./problem.ts";

const problemsOf = (content: string): readonly Problem[] =>
  parsePolicies([{ name: "f.yaml", content }], testPorts).problems;
const spec = (lines: string): readonly Problem[] => problemsOf(clusterwide(lines.trim()));
const ingress = (rule: string): readonly Problem[] => spec(`endpointSelector: {}\ningress:\n- ${rule}`);
const egress = (rule: string): readonly Problem[] => spec(`endpointSelector: {}\negress:\n- ${rule}`);
const port = (fields: string): readonly Problem[] => ingress(`toPorts: [{ports: [${fields}]}]`);
const short = (problems: readonly Problem[]): string[] =>
  problems.map(
    ({ severity, path, message, hint }) => `${severity} ${path}: ${message}${hint ? ` (${hint})` : ""}`,
  );

describe("not supported", () => {
  test.each<[string, readonly Problem[]]>([
    ["spec.ingress[0].fromRequires", ingress("fromRequires: [{}]")],
    ["spec.ingress[0].fromGroups", ingress("fromGroups: [{}]")],
    ["spec.ingress[0].authentication", ingress("authentication: {mode: required}")],
    ["spec.egress[0].authentication", egress("authentication: {mode: required}")],
    ["spec.egress[0].toRequires", egress("toRequires: [{}]")],
    ["spec.egress[0].toServices", egress("toServices: [{k8sService: {serviceName: a}}]")],
    ["spec.egress[0].toGroups", egress("toGroups: [{aws: {}}]")],
    [
      "spec.ingress[0].toPorts[0].rules.http",
      ingress('toPorts: [{ports: [{port: "80"}], rules: {http: [{}]}}]'),
    ],
    ["spec.egress[0].toPorts[0].rules.dns", egress('toPorts: [{ports: [{port: "53"}], rules: {dns: [{}]}}]')],
    [
      "spec.egress[0].toPorts[0].rules.kafka",
      egress('toPorts: [{ports: [{port: "1"}], rules: {kafka: [{}]}}]'),
    ],
    [
      "spec.egress[0].toPorts[0].rules.l7proto",
      egress('toPorts: [{ports: [{port: "1"}], rules: {l7proto: a}}]'),
    ],
    ["spec.egress[0].toPorts[0].listener", egress('toPorts: [{ports: [{port: "1"}], listener: {name: a}}]')],
    [
      "spec.egress[0].toPorts[0].terminatingTLS",
      egress('toPorts: [{ports: [{port: "1"}], terminatingTLS: {}}]'),
    ],
    [
      "spec.egress[0].toPorts[0].originatingTLS",
      egress('toPorts: [{ports: [{port: "1"}], originatingTLS: {}}]'),
    ],
    ["spec.egress[0].toPorts[0].serverNames", egress('toPorts: [{ports: [{port: "1"}], serverNames: [a]}]')],
    ["spec.ingress[0].toPorts[0].ports[0].protocol", port('{port: "0", protocol: GRE}')],
    ["spec.ingress[0].fromEntities[0]", ingress("fromEntities: [kube-apiserver]")],
    ["spec.ingress[0].fromEntities[0]", ingress("fromEntities: [init]")],
    ["spec.ingress[0].fromEntities[0]", ingress("fromEntities: [health]")],
    ["spec.ingress[0].fromEntities[0]", ingress("fromEntities: [unmanaged]")],
    ["spec.ingress[0].fromEntities[0]", ingress("fromEntities: [ingress]")],
    ["spec.labels", spec("endpointSelector: {}\ningress: [{}]\nlabels: [{key: a}]")],
    [
      'spec.endpointSelector.matchLabels."container:app"',
      spec("endpointSelector: {matchLabels: {container:app: a}}\ningress: [{}]"),
    ],
    [
      'spec.endpointSelector.matchLabels."reserved:world"',
      spec('endpointSelector: {matchLabels: {reserved:world: ""}}\ningress: [{}]'),
    ],
    [
      "spec.ingress[0].fromEndpoints[0]",
      ingress('fromEndpoints: [{matchLabels: {reserved:world: "", a: b}}]'),
    ],
    [
      "kind",
      problemsOf("apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\nspec: {}"),
    ],
    ["kind", problemsOf("apiVersion: cilium.io/v2\nkind: CiliumEgressGatewayPolicy\nspec: {}")],
    ["kind", problemsOf("apiVersion: v1\nkind: List\nitems: []")],
  ])("%s", (path, problems) => {
    const refused = problems.filter(({ severity }) => severity !== "warning");
    expect(refused.map((problem) => [problem.severity, problem.path])).toEqual([["unsupported", path]]);
    expect(refused[0]).toMatchObject({ file: "f.yaml", document: 1, line: expect.any(Number) });
    expect(exitOf(problems)).toBe(3);
  });
});

describe("malformed", () => {
  test.each<[string, readonly Problem[]]>([
    [
      "spec.egres: Cilium has no such field here (did you mean egress?)",
      spec("endpointSelector: {}\ningress: [{}]\negres: []"),
    ],
    [
      "spec.ingress[0].fromEndpoint: Cilium has no such field here (did you mean fromEndpoints?)",
      ingress("fromEndpoint: [{}]"),
    ],
    [
      "spec.ingress[0].toEndpoints: Cilium has no such field here (did you mean fromEndpoints?)",
      ingress("toEndpoints: [{}]"),
    ],
    ["spec.ingress[0].toFQDNs: Cilium has no such field here", ingress("toFQDNs: [{matchName: a}]")],
    [
      "spec.egressDeny[0].toFQDNs: Cilium has no such field here",
      spec("endpointSelector: {}\negressDeny: [{toFQDNs: [{matchName: a}]}]"),
    ],
    [
      "spec.ingressDeny[0].toPorts[0].rules: Cilium has no such field here",
      spec('endpointSelector: {}\ningressDeny: [{toPorts: [{ports: [{port: "1"}], rules: {}}]}]'),
    ],
    [
      "spec.ingressDeny[0].authentication: Cilium has no such field here",
      spec("endpointSelector: {}\ningressDeny: [{authentication: {}}]"),
    ],
    ["spec.ingress[0].constructor: Cilium has no such field here", ingress("constructor: [{}]")],
    ["spec.ingress[0].__proto__: Cilium has no such field here", ingress("__proto__: [{}]")],
    [
      "spec.ingress[0]: icmps and toPorts cannot stand in one rule",
      ingress('{toPorts: [{ports: [{port: "1"}]}], icmps: [{fields: [{type: 8}]}]}'),
    ],
    [
      "spec.ingress[0]: fromEndpoints and fromCIDR cannot stand in one rule",
      ingress("{fromEndpoints: [{}], fromCIDR: [10.0.0.0/8]}"),
    ],
    [
      "spec.egress[0]: toCIDR and toFQDNs cannot stand in one rule",
      egress("{toFQDNs: [{matchName: a}], toCIDR: [10.0.0.0/8]}"),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].endPort: endPort 79 is below port 80",
      port('{port: "80", endPort: 79}'),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].endPort: 65536 is not from 0 to 65535",
      port('{port: "80", endPort: 65536}'),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].endPort: must be a whole number; 90 is text",
      port('{port: "80", endPort: "90"}'),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].endPort: 0100 is read differently by YAML 1.1 and 1.2",
      port('{port: "80", endPort: 0100}'),
    ],
    [
      'spec.ingress[0].toPorts[0].ports[0].port: must be text; 80 is a number (quote it: "80")',
      port("{port: 80}"),
    ],
    ["spec.ingress[0].toPorts[0].ports[0].port: 65536 is no port", port('{port: "65536"}')],
    ["spec.ingress[0].toPorts[0].ports[0].port: 080 is no port", port('{port: "080"}')],
    ["spec.ingress[0].toPorts[0].ports[0].port: -http is no port", port('{port: "-http"}')],
    ["spec.ingress[0].toPorts[0].ports[0].port:  is no port", port('{port: ""}')],
    [
      "spec.ingress[0].toPorts[0].ports[0].port: no port is named gopher for tcp, udp, sctp",
      port("{port: gopher}"),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].port: no port is named http for udp",
      port("{port: HTTP, protocol: UDP}"),
    ],
    ["spec.ingress[0].toPorts[0].ports[0]: port is missing", port("{protocol: TCP}")],
    [
      "spec.ingress[0].toPorts[0].ports[0].protocol: ICMP is no protocol with ports (ICMP has its own section, icmps)",
      port('{port: "0", protocol: ICMP}'),
    ],
    [
      "spec.ingress[0].toPorts[0].ports[0].protocol: QUIC is no protocol with ports",
      port('{port: "0", protocol: QUIC}'),
    ],
    [
      "spec.ingress[0].toPorts[0].ports: 41 ports, and Cilium takes 40 in one entry",
      port(new Array(41).fill('{port: "1"}').join(", ")),
    ],
    [
      "spec.ingress[0].icmps[0].fields: 41 types, and Cilium takes 40 in one entry",
      ingress(`icmps: [{fields: [${new Array(41).fill("{type: 1}").join(", ")}]}]`),
    ],
    [
      "spec.ingress[0].icmps[0].fields[0].type: 256 is not from 0 to 255",
      ingress("icmps: [{fields: [{type: 256}]}]"),
    ],
    [
      "spec.ingress[0].icmps[0].fields[0].type: PacketTooBig is no ICMP type of IPv4",
      ingress("icmps: [{fields: [{type: PacketTooBig}]}]"),
    ],
    [
      "spec.ingress[0].icmps[0].fields[0].family: ipv6 is no family",
      ingress("icmps: [{fields: [{family: ipv6, type: 1}]}]"),
    ],
    ["spec.ingress[0].icmps[0].fields[0]: type is missing", ingress("icmps: [{fields: [{family: IPv6}]}]")],
    ["spec.ingress[0].fromCIDR[0]: 10.0.0.0/33 is no prefix", ingress("fromCIDR: [10.0.0.0/33]")],
    [
      "spec.ingress[0].fromCIDR[0]: ::ffff:10.0.0.0/104 is no prefix",
      ingress('fromCIDR: ["::ffff:10.0.0.0/104"]'),
    ],
    ["spec.ingress[0].fromCIDR[0]: 10.0.0.0/08 is no prefix", ingress("fromCIDR: [10.0.0.0/08]")],
    ["spec.ingress[0].fromCIDR[0]: fe80::1%eth0/64 is no prefix", ingress('fromCIDR: ["fe80::1%eth0/64"]')],
    [
      "spec.ingress[0].fromCIDRSet[0].cidr: 10.0.0.1 is no prefix",
      ingress("fromCIDRSet: [{cidr: 10.0.0.1}]"),
    ],
    [
      "spec.ingress[0].fromCIDRSet[0].except[0]: the exception is not within cidr",
      ingress("fromCIDRSet: [{cidr: 10.0.0.0/8, except: [11.0.0.0/9]}]"),
    ],
    [
      "spec.ingress[0].fromCIDRSet[0].except[0]: the exception is not within cidr",
      ingress("fromCIDRSet: [{cidr: 10.0.0.0/8, except: [0.0.0.0/0]}]"),
    ],
    [
      "spec.ingress[0].fromCIDRSet[0].except[0]: the exception is not within cidr",
      ingress('fromCIDRSet: [{cidr: "::/0", except: [10.0.0.0/8]}]'),
    ],
    [
      "spec.ingress[0].fromCIDRSet[0]: one of cidr, cidrGroupRef and cidrGroupSelector is needed",
      ingress("fromCIDRSet: [{}]"),
    ],
    [
      "spec.ingress[0].fromCIDRSet[0]: only one of cidr and cidrGroupRef may be given",
      ingress("fromCIDRSet: [{cidr: 10.0.0.0/8, cidrGroupRef: a}]"),
    ],
    ["spec.ingress[0].fromEntities[0]: wolrd is no entity", ingress("fromEntities: [wolrd]")],
    ["spec.egress[0].toFQDNs[0]: matchName or matchPattern is missing", egress("toFQDNs: [{}]")],
    [
      "spec.egress[0].toFQDNs[0]: only one of matchName and matchPattern may be given",
      egress("toFQDNs: [{matchName: a, matchPattern: b}]"),
    ],
    [
      "spec.egress[0].toFQDNs[0].matchName: *.a is no DNS name (matchPattern takes stars)",
      egress('toFQDNs: [{matchName: "*.a"}]'),
    ],
    [
      "spec.egress[0].toFQDNs[0].matchPattern: a..b is no pattern of DNS names",
      egress("toFQDNs: [{matchPattern: a..b}]"),
    ],
    ["spec: endpointSelector is missing", spec("ingress: [{}]")],
    [
      "spec.nodeSelector: endpointSelector and nodeSelector cannot stand in one spec",
      spec("endpointSelector: {}\nnodeSelector: {}\ningress: [{}]"),
    ],
    [
      "spec.nodeSelector: only a CiliumClusterwideNetworkPolicy selects nodes",
      problemsOf(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspec: {nodeSelector: {}, ingress: [{}]}",
      ),
    ],
    [
      "spec: without a rule in ingress, ingressDeny, egress or egressDeny it does nothing",
      spec("endpointSelector: {}"),
    ],
    ["spec: without a rule", spec("endpointSelector: {}\ningress: []\nenableDefaultDeny: {ingress: true}")],
    [
      "spec.enableDefaultDeny.ingress: yes is read differently by YAML 1.1 and 1.2",
      spec("endpointSelector: {}\ningress: [{}]\nenableDefaultDeny: {ingress: yes}"),
    ],
    [
      "spec.enableDefaultDeny.ingress: must be true or false; false is text",
      spec('endpointSelector: {}\ningress: [{}]\nenableDefaultDeny: {ingress: "false"}'),
    ],
    ["spec.ingress: must be a list, not a map", spec("endpointSelector: {}\ningress: {}")],
    ["spec.ingress: must be a list, but nothing stands there", spec("endpointSelector: {}\ningress:")],
    [
      "spec.ingress[0]: must be a map of fields, but nothing stands there",
      spec("endpointSelector: {}\ningress:\n-"),
    ],
    ["spec.ingress[0].fromEndpoints: must be a list, but nothing stands there", ingress("fromEndpoints:")],
    [
      "spec.endpointSelector.matchLabels.a: must be text; true is true or false (quote it",
      spec("endpointSelector: {matchLabels: {a: true}}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchLabels.a: must be text; 1.10 is a number",
      spec("endpointSelector: {matchLabels: {a: 1.10}}\ningress: [{}]"),
    ],
    [
      'spec.endpointSelector.matchLabels.a: no is read differently by YAML 1.1 and 1.2 (quote it: "no")',
      spec("endpointSelector: {matchLabels: {a: no}}\ningress: [{}]"),
    ],
    [
      'spec.endpointSelector.matchLabels."a b": a b is no label key',
      spec('endpointSelector: {matchLabels: {"a b": c}}\ningress: [{}]'),
    ],
    [
      "spec.endpointSelector.matchLabels.a: b c is no label value",
      spec("endpointSelector: {matchLabels: {a: b c}}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchExpressions[0].operator: in is no operator",
      spec("endpointSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchExpressions[0]: In needs values",
      spec("endpointSelector: {matchExpressions: [{key: a, operator: In}]}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchExpressions[0].values: Exists takes no values",
      spec("endpointSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchExpressions[0]: key is missing",
      spec("endpointSelector: {matchExpressions: [{operator: Exists}]}\ningress: [{}]"),
    ],
    [
      "spec.endpointSelector.matchlabels: Cilium has no such field here (did you mean matchLabels?)",
      spec("endpointSelector: {matchlabels: {}}\ningress: [{}]"),
    ],
    [
      "spec.log.value: the text must have at most 32 printable characters",
      spec(`endpointSelector: {}\ningress: [{}]\nlog: {value: ${"x".repeat(33)}}`),
    ],
    [
      "spec.log.value: the text must have at most 32",
      spec('endpointSelector: {}\ningress: [{}]\nlog: {value: "\\e[1m"}'),
    ],
    [
      "spec.description: must be text; 3 is a number",
      spec("endpointSelector: {}\ningress: [{}]\ndescription: 3"),
    ],
    [
      "metadata.name: A is no name of an object",
      problemsOf(clusterwide("endpointSelector: {}\ningress: [{}]", "A")),
    ],
    [
      "metadata.namespace: a CiliumClusterwideNetworkPolicy is in no namespace",
      problemsOf(
        "apiVersion: cilium.io/v2\nkind: CiliumClusterwideNetworkPolicy\nmetadata: {name: a, namespace: b}\nspec: {endpointSelector: {}, ingress: [{}]}",
      ),
    ],
    [
      ": metadata is missing",
      problemsOf(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nspec: {endpointSelector: {}, ingress: [{}]}",
      ),
    ],
    [
      ": spec is missing",
      problemsOf("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a}\nspecs: []"),
    ],
    [
      "apiVersion: cilium.io/v1 has no CiliumNetworkPolicy",
      problemsOf("apiVersion: cilium.io/v1\nkind: CiliumNetworkPolicy"),
    ],
    [
      "kind: CiliumNetworkPolcy is no kind of Cilium (did you mean CiliumNetworkPolicy?)",
      problemsOf("apiVersion: cilium.io/v2\nkind: CiliumNetworkPolcy"),
    ],
    [": apiVersion is missing", problemsOf("kind: CiliumNetworkPolicy")],
    [": must be a map of fields, not a list", problemsOf("- a")],
    [": must be a map of fields, not a scalar", problemsOf("a")],
    [
      "spec: externalCIDRs is missing",
      problemsOf("apiVersion: cilium.io/v2alpha1\nkind: CiliumCIDRGroup\nmetadata: {name: a}\nspec: {}"),
    ],
    [
      "metadata.name: CiliumClusterwideNetworkPolicy test stands also in f.yaml, line 1",
      problemsOf(
        `${clusterwide("endpointSelector: {}\ningress: [{}]")}---\n${clusterwide("endpointSelector: {}\ningress: [{}]")}`,
      ),
    ],
  ])("%s", (expected, problems) => {
    const lines = short(problems.filter(({ severity }) => severity === "malformed"));
    expect(lines.map((line) => line.startsWith(`malformed ${expected}`))).toContain(true);
    expect(exitOf(problems)).toBe(1);
  });

  test("all problems of a file are told at once, in the order of its lines", () => {
    const problems = spec(`
endpointSelector: {matchlabels: {}}
ingress:
- fromRequires: [{}]
  toPorts: [{ports: [{port: 80}]}]
egress: [{toCIDR: [x]}]`);
    expect(problems.map(({ severity, path, line }) => [severity, path, line])).toEqual([
      ["malformed", "spec.endpointSelector.matchlabels", 6],
      ["unsupported", "spec.ingress[0].fromRequires", 8],
      ["malformed", "spec.ingress[0].toPorts[0].ports[0].port", 9],
      ["malformed", "spec.egress[0].toCIDR[0]", 10],
    ]);
    expect(exitOf(problems)).toBe(1);
  });
});

describe("warnings", () => {
  test.each<[string, readonly Problem[]]>([
    ["spec.ingress[0].fromEndpoints: an empty fromEndpoints selects nobody", ingress("fromEndpoints: []")],
    [
      "spec.ingress[0].toPorts: an empty toPorts means every protocol and port",
      ingress("{fromEntities: [world], toPorts: []}"),
    ],
    ["spec.ingress[0]: without ports listed in it the rule matches nothing", ingress("toPorts: [{}]")],
    [
      "spec.ingress[0].toPorts[0].ports[0].endPort: Cilium passes endPort by",
      port("{port: http, endPort: 90}"),
    ],
    [
      "metadata.namespace: namespaces are part of names here",
      problemsOf(
        "apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: a, namespace: b}\nspec: {endpointSelector: {}, ingress: [{}]}",
      ),
    ],
  ])("%s", (expected, problems) => {
    expect(short(problems).map((line) => line.startsWith(`warning ${expected}`))).toEqual([true]);
    expect(exitOf(problems)).toBe(0);
  });
});

test("what a server adds to metadata, and status, is passed by", () => {
  const text = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata:
  name: a
  creationTimestamp: null
  annotations: {x: "y"}
  generation: 3
  managedFields: [{a: b}]
  labels: {app.kubernetes.io/name: web}
spec: {endpointSelector: {}, ingress: [{}], description: "a\\nb", log: {value: shown}}
status: {conditions: []}
`;
  const { policies, problems } = parsePolicies([{ name: "f.yaml", content: text }], testPorts);
  expect(problems).toEqual([]);
  expect(policies).toMatchObject([
    {
      kind: "CiliumNetworkPolicy",
      name: "default/a",
      labels: { "app.kubernetes.io/name": "web" },
      specs: [{ description: "a\nb", log: "shown" }],
    },
  ]);
});
