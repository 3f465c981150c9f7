import fc from "fast-check";
import { expect, test } from "vitest";
import type { Flow } from "../shapes.ts";
import { flow, process } from "../testing/flow.ts";
import { type GraphBounds, graphOf as graphOfRows, networkOf } from "./graph.ts";

const graphOf = (flows: readonly Flow[], most: GraphBounds) =>
  graphOfRows(
    flows.map((each) => ({ flow: each })),
    most,
  );

const bounds = { services: 4, remotes: 4, edges: 8 };
const to = (ip: string, bytes: number, comm = "curl") =>
  flow({
    destination: { ip, port: 443, name: null },
    bytes: { sent: bytes, received: 0 },
    process: process({ comm }),
  });

test("flows between the same two are one edge", () => {
  const lossy = flow({
    drops: { packets: 3, reason: "NO_SOCKET" },
    tcp: { connectMs: null, rttMs: null, minRttMs: null, retransmits: 2 },
  });
  const { nodes, edges } = graphOf([flow(), lossy], bounds);
  expect(nodes.map(({ key, flows, bytes }) => [key, flows, bytes])).toEqual([
    ["address:10.0.0.1", 2, 2500],
    ["process:curl", 2, 2500],
  ]);
  expect(edges).toEqual([
    {
      from: "process:curl",
      to: "address:10.0.0.1",
      bytes: 2500,
      packets: 6,
      flows: 2,
      drops: 3,
      retransmits: 2,
    },
  ]);
});

test("too many hosts are joined by network, then the least become one", () => {
  const inOne = Array.from({ length: 9 }, (_, index) => to(`192.0.2.${index}`, 100));
  const alone = Array.from({ length: 9 }, (_, index) => to(`10.${index}.0.1`, index + 1));
  const { nodes } = graphOf([...inOne, ...alone], bounds);
  expect(nodes.map(({ label, members, bytes }) => [label, members, bytes])).toEqual([
    ["curl", 1, 945],
    ["192.0.2.0/24", 9, 900],
    ["more hosts", 7, 28],
    ["10.8.0.1", 1, 9],
    ["10.7.0.1", 1, 8],
  ]);
});

test("a network that is itself among the least takes its hosts along", () => {
  const small = [to("192.0.2.1", 1), to("192.0.2.2", 1)];
  const large = Array.from({ length: 5 }, (_, index) => to(`10.${index}.0.1`, 100 + index));
  const { nodes, edges } = graphOf([...small, ...large], bounds);
  expect(nodes.find(({ kind }) => kind === "more")).toMatchObject({ members: 4, flows: 4 });
  expect(edges).toHaveLength(4);
});

test("whatever flows, the graph is bounded and no byte is lost on the way to an edge", () => {
  const octet = fc.integer({ min: 0, max: 255 });
  const any = fc.record({
    ip: fc.tuple(octet, octet),
    bytes: fc.nat(1e6),
    comm: fc.string({ maxLength: 3 }),
  });
  fc.assert(
    fc.property(fc.array(any, { maxLength: 200 }), (list) => {
      const flows = list.map(({ ip, bytes, comm }) => to(`10.${ip[0]}.${ip[1]}.1`, bytes, comm));
      const { nodes, edges, hiddenEdges } = graphOf(flows, { ...bounds, edges: 100 });
      expect(nodes.length).toBeLessThanOrEqual(bounds.services + bounds.remotes);
      expect(hiddenEdges).toBe(0);
      const total = flows.reduce((sum, { bytes }) => sum + bytes.sent, 0);
      expect(edges.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(total);
      const keys = new Set(nodes.map(({ key }) => key));
      expect(keys.size).toBe(nodes.length);
      expect(edges.every(({ from, to: other }) => keys.has(from) && keys.has(other))).toBe(true);
    }),
    { seed: 1 },
  );
});

test.each([
  ["name", "a.b.example.com", "*.example.com"],
  ["address", "10.1.2.3", "10.1.2.0/24"],
  ["address", "2001:db8:7:8::9", "2001:db8:7::/48"],
] as const)("the network of a %s %s is %s", (kind, label, network) => {
  expect(networkOf({ kind, label })).toBe(network);
});
