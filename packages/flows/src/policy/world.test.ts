import { networkInterfaces } from "node:os";
import { expect, test } from "vitest";
import { formatAddress, parseAddress } from "../address.ts";
import { policyConfigSchema } from "./config.ts";
import { hostAddresses, worldOf } from "./world.ts";

const config = policyConfigSchema.parse({
  node_name: "edge-1",
  node_labels: { role: "db" },
  members: [
    { name: "edge-1", labels: { role: "web", zone: "a" }, addresses: ["203.0.113.1"] },
    { name: "edge-2", labels: { role: "web" }, addresses: ["10.0.0.2", "2001:db8::2"] },
  ],
});
const addresses = ["127.0.0.1", "10.0.0.1", "10.0.0.1"].map((text) => parseAddress(text) as Uint8Array);
const world = worldOf(config, { addresses, workloads: [], names: () => [] });

test("this node has its own labels before those of its entry in the list that all nodes share", () => {
  expect(world.node.labels).toEqual({
    name: "edge-1",
    "kubernetes.io/hostname": "edge-1",
    role: "db",
    zone: "a",
    "reserved:host": "",
  });
  expect(world.node.addresses.map(formatAddress)).toEqual(["10.0.0.1", "127.0.0.1", "203.0.113.1"]);
});

test("the others are members, with the label that says so", () => {
  expect(world.members.map(({ name, labels }) => [name, labels])).toEqual([
    [
      "edge-2",
      { name: "edge-2", "kubernetes.io/hostname": "edge-2", role: "web", "reserved:remote-node": "" },
    ],
  ]);
});

test("the host's addresses are all that it has, loopback's too, each once", () => {
  const found = hostAddresses().map(formatAddress);
  for (const { address } of Object.values(networkInterfaces()).flatMap((all) => all ?? []))
    expect(found).toContain(formatAddress(parseAddress(address.replace(/%.*/, "")) as Uint8Array));
  expect(new Set(found).size).toBe(found.length);
});
