import { expect, test } from "vitest";
import { parseAddress } from "../address.ts";
import { readCheck } from "./check.ts";
import { policyConfigSchema } from "./config.ts";
import { worldOf } from "./world.ts";

const config = policyConfigSchema.parse({
  node_name: "edge-1",
  node_labels: { role: "db" },
  members: [
    { name: "edge-2", labels: { role: "web" }, addresses: ["10.0.0.2"] },
    { name: "edge-3", labels: { role: "web" }, addresses: ["10.0.0.3"] },
  ],
  resolvers: ["192.0.2.53"],
});
const world = worldOf(config, {
  addresses: [parseAddress("10.0.0.1") as Uint8Array],
  workloads: [{ endpoint: 1, name: "nginx.service", labels: { unit: "nginx.service" } }],
  names: () => [],
});

const policy = (spec: string, name = "p"): string =>
  `apiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: ${name}}\nspec: ${spec}\n`;

function warnings(...specs: string[]): string[] {
  const text = specs.map((spec, index) => policy(spec, `p${index}`)).join("---\n");
  const { problems } = readCheck([{ name: "a.yaml", text }], config, world);
  expect(problems.filter(({ severity }) => severity !== "warning")).toEqual([]);
  return problems.map(({ path, message }) => `${path}: ${message}`);
}

const toNames = "{toFQDNs: [{matchName: example.com}], toPorts: [{ports: [{port: '443', protocol: TCP}]}]}";
const dns = "{toCIDR: [192.0.2.53/32], toPorts: [{ports: [{port: '53', protocol: UDP}]}]}";
const unseen =
  "spec.egress[0]: addresses of names are learned from answers on port 53; those over TLS or HTTPS cannot be seen";

test.each([
  ["a subject that is this node", "{endpointSelector: {matchLabels: {role: db}}, ingress: [{}]}", []],
  [
    "a subject that is a workload",
    "{endpointSelector: {matchLabels: {unit: nginx.service}}, ingress: [{}]}",
    [],
  ],
  ["a subject that is another node", "{endpointSelector: {matchLabels: {role: web}}, ingress: [{}]}", []],
  [
    "a subject that is nobody",
    "{endpointSelector: {matchLabels: {role: cache}}, ingress: [{}]}",
    ["spec.endpointSelector: selects no node, and no workload that runs here"],
  ],
  [
    "peers that are nobody",
    "{endpointSelector: {}, ingress: [{fromEndpoints: [{matchLabels: {role: web}}]}, {fromEndpoints: [{matchLabels: {role: cache}}]}]}",
    ["spec.ingress[1]: a selector of endpoints selects nobody that is known here"],
  ],
  [
    "a prefix that covers members",
    "{endpointSelector: {}, ingress: [{fromCIDR: [10.0.0.2/31]}]}",
    [
      "spec.ingress[0]: 10.0.0.2/31 covers edge-2, edge-3, whom no prefix selects: nodes are selected by labels",
    ],
  ],
  [
    "a prefix that excepts them",
    "{endpointSelector: {}, ingress: [{fromCIDRSet: [{cidr: 10.0.0.0/8, except: [10.0.0.0/24]}]}]}",
    [],
  ],
  ["all that there is", "{endpointSelector: {}, ingress: [{fromCIDR: [0.0.0.0/0]}]}", []],
  ["names with a way to the resolver", `{endpointSelector: {}, egress: [${toNames}, ${dns}]}`, [unseen]],
  [
    "names without one",
    `{endpointSelector: {}, egress: [${toNames}]}`,
    [unseen, "spec.egress[0]: nothing allows this node to ask its resolvers (192.0.2.53)"],
  ],
  [
    "names and a resolver over TLS",
    `{endpointSelector: {}, egress: [${toNames}, {toCIDR: [192.0.2.53/32]}]}`,
    [unseen, "spec.egress[0]: 192.0.2.53 may be asked over TLS (port 853), where no name is learned"],
  ],
])("%s", (_, spec, expected) => {
  expect(warnings(spec)).toEqual(expected);
});

test("another policy may open the way to the resolver", () => {
  const names = `{endpointSelector: {}, egress: [${toNames}]}`;
  expect(warnings(names, `{endpointSelector: {}, egress: [${dns}]}`)).toEqual([unseen]);
});

test("a warning stands at its document", () => {
  const nobody = "{endpointSelector: {matchLabels: {role: cache}}, ingress: [{}]}";
  const text = `${policy("{endpointSelector: {}, ingress: [{}]}")}---\n${policy(nobody, "q")}`;
  expect(readCheck([{ name: "a.yaml", text }], config, world).problems).toMatchObject([
    { severity: "warning", file: "a.yaml", document: 2, path: "spec.endpointSelector" },
  ]);
});
