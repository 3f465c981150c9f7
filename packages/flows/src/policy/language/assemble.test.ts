import { expect, test } from "vitest";
import { evaluate } from "../evaluate.ts";
import { attemptOf, clusterwide, readPolicies, smallWorld, testPorts } from "../testing/small-world.ts";
import { assemble } from "./assemble.ts";
import { parsePolicies } from "./parse.ts";

const parse = (...texts: readonly string[]): ReturnType<typeof parsePolicies> =>
  parsePolicies(
    texts.map((content, index) => ({ name: `${index}.yaml`, content })),
    testPorts,
  );
const namespaced = `
apiVersion: cilium.io/v2
kind: CiliumNetworkPolicy
metadata: {name: a, namespace: shop}
specs:
- endpointSelector: {}
  ingress: [{fromEntities: [world]}, {fromEntities: [host]}]
  ingressDeny: [{fromCIDR: [10.0.0.0/8]}]
- endpointSelector: {}
  egress: [{toEntities: [all]}]
`;
const cluster = clusterwide("nodeSelector: {}\negress: [{}]\ningress: [{}]", "b");

test("ids follow names, specs, directions and rules, whatever the order of the files", () => {
  const numbered = (...texts: readonly string[]): unknown => {
    const { policies, groups } = parse(...texts);
    return assemble(policies, groups).set.policies.map(({ name, specs }) => [
      name,
      specs.map(({ ingress, egress }) =>
        [ingress, egress].map(
          (direction) =>
            direction && [
              direction.path,
              direction.defaultDenyId,
              ...direction.rules.map(({ id, path, deny }) => [id, path, deny]),
            ],
        ),
      ),
    ]);
  };
  const expected = [
    [
      "b",
      [
        [
          ["spec.ingress", 1, [2, "spec.ingress[0]", false]],
          ["spec.egress", 3, [4, "spec.egress[0]", false]],
        ],
      ],
    ],
    [
      "shop/a",
      [
        [
          [
            "specs[0].ingress",
            5,
            [6, "specs[0].ingress[0]", false],
            [7, "specs[0].ingress[1]", false],
            [8, "specs[0].ingressDeny[0]", true],
          ],
          undefined,
        ],
        [undefined, ["specs[1].egress", 9, [10, "specs[1].egress[0]", false]]],
      ],
    ],
  ];
  expect(numbered(namespaced, cluster)).toEqual(expected);
  expect(numbered(cluster, namespaced)).toEqual(expected);
});

test("a name stands once, over all files", () => {
  const { problems, policies } = parse(cluster, cluster);
  expect(problems).toMatchObject([
    {
      severity: "malformed",
      file: "1.yaml",
      path: "metadata.name",
      message: expect.stringContaining("0.yaml"),
    },
  ]);
  expect(policies.map(({ file }) => file)).toEqual(["0.yaml"]);
  expect(() => assemble([...policies, ...policies], [])).toThrow(RangeError);
});

const groups = `
apiVersion: cilium.io/v2
kind: CiliumCIDRGroup
metadata: {name: office, labels: {trust: high}}
spec: {externalCIDRs: [10.0.0.0/16, 10.96.0.0/16]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumCIDRGroup
metadata: {name: vpn, labels: {trust: low}}
spec: {externalCIDRs: ["2001:db8:8::/48"]}
`;
test.each([
  ["by name", "{cidrGroupRef: office}", ["10.0.9.9", "10.96.0.1"], ["10.1.2.3", "2001:db8:8::8"]],
  ["by name with exceptions", "{cidrGroupRef: office, except: [10.96.0.0/24]}", ["10.96.1.1"], ["10.96.0.1"]],
  ["by labels", "{cidrGroupSelector: {matchLabels: {trust: low}}}", ["2001:db8:8::8"], ["10.0.9.9"]],
  ["by no labels", "{cidrGroupSelector: {}}", ["2001:db8:8::8", "10.0.9.9"], ["8.8.8.8"]],
])("groups of prefixes, %s", (_, rule, allowed, denied) => {
  const text = clusterwide(`endpointSelector: {}\negress: [{toCIDRSet: [${rule}]}]`);
  const { set } = readPolicies(`${groups}---\n${text}`);
  const decide = (peer: string): string =>
    evaluate(set, smallWorld, attemptOf(`node > ${peer} tcp/1`)).decision;
  expect(allowed.map(decide)).toEqual(allowed.map(() => "allow"));
  expect(denied.map(decide)).toEqual(denied.map(() => "deny"));
});

test("a group that is missing selects nobody, and is told with its place", () => {
  const text = clusterwide("endpointSelector: {}\negress: [{toCIDRSet: [{cidrGroupRef: home}]}]");
  const { policies } = parse(text);
  const { set, warnings } = assemble(policies, []);
  expect(warnings).toMatchObject([
    { severity: "warning", file: "0.yaml", line: 7, path: "spec.egress[0].toCIDRSet[0].cidrGroupRef" },
  ]);
  expect(evaluate(set, smallWorld, attemptOf("node > 8.8.8.8 tcp/1")).decision).toBe("deny");
});
