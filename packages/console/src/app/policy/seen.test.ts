import { expect, test } from "vitest";
import { flow, process } from "../testing/flow.ts";
import { peerKey, portKey, seenIn } from "./seen.ts";
import type { Matrix } from "./shapes.ts";

const matrix: Matrix = {
  peers: [
    { kind: "member", name: "db-1", prefixes: ["10.0.0.9/32"] },
    { kind: "range", name: "10.0.0.0/8", prefixes: ["10.0.0.0/8"] },
    { kind: "range", name: "10.0.0.0/16", prefixes: ["10.0.0.0/16"] },
    { kind: "name", name: "*.example.org", prefixes: [] },
    { kind: "world", name: "world", prefixes: ["0.0.0.0/0", "::/0"] },
  ],
  ports: [
    { protocol: "tcp", first: 80, last: 90, isRest: false },
    { protocol: "tcp", first: 0, last: 65_535, isRest: true },
    { protocol: "icmp", first: 8, last: 8, isRest: false },
    { protocol: null, first: 0, last: 65_535, isRest: true },
  ],
  verdicts: [],
  cells: [],
  leftOut: { peers: 0, ports: 0 },
};

const end = (ip: string, port = 85, name: string | null = null) => ({ ip, port, name });
const cells = (flows: Parameters<typeof flow>[0][], workload?: string) => {
  const found = seenIn(
    { matrix, direction: "egress", workload },
    flows.map((one) => flow(one)),
  );
  return [...found].map(([cell, seen]) => {
    const [peer, port] = [matrix.peers[Math.floor(cell / 4)]!, matrix.ports[cell % 4]!];
    return `${peerKey(peer)} ${portKey(port)} ${seen.length}`;
  });
};

test.each([
  [end("10.0.0.9"), "member:db-1 tcp/80-90 1"],
  [end("10.0.0.10"), "range:10.0.0.0/16 tcp/80-90 1"],
  [end("10.1.0.10"), "range:10.0.0.0/8 tcp/80-90 1"],
  [end("203.0.113.1", 22), "world:world tcp/* 1"],
  [end("2001:db8::1"), "world:world tcp/80-90 1"],
  [end("203.0.113.1", 85, "www.example.org"), "name:*.example.org tcp/80-90 1"],
  [end("203.0.113.1", 85, "a.b.example.org"), "world:world tcp/80-90 1"],
  [end("10.0.0.9", 85, "www.example.org"), "member:db-1 tcp/80-90 1"],
])("%j falls into %s", (destination, cell) => {
  expect(cells([{ destination }])).toEqual([cell]);
});

test("types of ICMP are columns too; a protocol without a column is among the rest", () => {
  const icmp = { type: 8, code: 0, id: 1 };
  expect(cells([{ protocol: "icmp", icmp, destination: end("10.0.0.9", 0) }])).toEqual([
    "member:db-1 icmp/8 1",
  ]);
  expect(cells([{ protocol: "udp", destination: end("10.0.0.9") }])).toEqual(["member:db-1 * 1"]);
});

test("what comes in, is forwarded or stays here is not counted as going out", () => {
  expect(cells([{ direction: "ingress" }, { place: "forwarded" }, { place: "loopback" }])).toEqual([]);
});

test("a workload has its own flows", () => {
  const of = (unit: string) => ({ destination: end("10.0.0.9"), process: process({ unit }) });
  expect(cells([of("web.service"), of("web.service"), of("db.service")], "web.service")).toEqual([
    "member:db-1 tcp/80-90 2",
  ]);
});
