import { expect, test } from "vitest";
import { applyMask, parseMask } from "./mask.ts";
import { flowMessage } from "./schema.ts";

const flow = {
  verdict: 1,
  IP: { source: "10.0.0.1", destination: "10.0.0.2" },
  source: { identity: 1, labels: ["a"], workloads: [{ name: "x", kind: "Service" }] },
};

test.each<[string[], unknown]>([
  [[], flow],
  [["verdict"], { verdict: 1 }],
  [["IP"], { IP: flow.IP }],
  [["IP.source", "IP"], { IP: flow.IP }],
  [["IP.source", "source.labels"], { IP: { source: "10.0.0.1" }, source: { labels: ["a"] } }],
  [["source.workloads.kind"], { source: { workloads: [{ kind: "Service" }] } }],
  [["ethernet", "tunnel.vni", "l7"], {}],
])("%j", (paths, expected) => {
  expect(applyMask(parseMask(flowMessage, paths), flow)).toEqual(expected);
});

test.each<[string[], RegExp]>([
  [["colour"], /Flow has no field "colour"/],
  [["IP.colour"], /IP has no field "colour"/],
  [["verdict.x"], /Flow.verdict has no fields/],
  [[""], /Flow has no field ""/],
  [["IP."], /IP has no field ""/],
  [Array.from({ length: 201 }, () => "IP"), /at most 200/],
])("%j is refused", (paths, reason) => {
  expect(() => parseMask(flowMessage, paths)).toThrow(reason);
});
