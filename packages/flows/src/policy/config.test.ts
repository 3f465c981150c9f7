import { expect, test } from "vitest";
import { formatAddress } from "../address.ts";
import { parsePort, parseSource, policyConfigSchema } from "./config.ts";

test("everything has a default: SSH stays reachable for everybody", () => {
  const config = policyConfigSchema.parse({});
  expect(config.management_ports.map(parsePort)).toEqual([{ protocol: "tcp", port: 22 }]);
  expect(config.management_sources).toEqual([]);
});

test.each([
  ["a port without protocol", { management_ports: ["22"] }],
  ["port 0", { management_ports: ["tcp:0"] }],
  ["a port that is none", { management_ports: ["tcp:65536"] }],
  ["a source that is no prefix", { management_sources: ["office"] }],
  ["a prefix that is too long", { management_sources: ["10.0.0.0/33"] }],
  ["a name in capitals", { node_name: "Edge" }],
  ["a label that Kubernetes would not take", { node_labels: { role: "a b" } }],
  ["a key that Kubernetes would not take", { node_labels: { "-role": "a" } }],
  ["a member without addresses", { members: [{ name: "a", addresses: [] }] }],
  ["an address that is none", { members: [{ name: "a", addresses: ["10.0.0"] }] }],
  [
    "an address of two members",
    {
      members: [
        { name: "a", addresses: ["10.0.0.1"] },
        { name: "b", addresses: ["10.0.0.1"] },
      ],
    },
  ],
  [
    "two members of one name",
    {
      members: [
        { name: "a", addresses: ["10.0.0.1"] },
        { name: "a", addresses: ["10.0.0.2"] },
      ],
    },
  ],
  ["an unknown key of a member", { members: [{ name: "a", address: "10.0.0.1", addresses: ["10.0.0.1"] }] }],
  ["a named port of nothing but digits", { named_ports: { "80": "tcp:80" } }],
  ["a resolver by name", { resolvers: ["dns.example"] }],
])("%s is refused", (_, given) => {
  expect(policyConfigSchema.safeParse(given).success).toBe(false);
});

test.each([
  ["10.1.2.3/8", "10.0.0.0", 104],
  ["192.0.2.1", "192.0.2.1", 128],
  ["0.0.0.0/0", "0.0.0.0", 96],
  ["2001:db8:ffff::1/33", "2001:db8:8000::", 33],
  ["::/0", "::", 0],
])("the source %s is a prefix without bits behind it", (text, address, bits) => {
  const prefix = parseSource(text);
  expect([formatAddress(prefix.bytes), prefix.bits]).toEqual([address, bits]);
});
