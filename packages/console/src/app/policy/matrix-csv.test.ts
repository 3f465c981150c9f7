import { expect, test } from "vitest";
import { flow } from "../testing/flow.ts";
import { matrixCsv } from "./matrix-csv.ts";
import type { Matrix } from "./shapes.ts";

const matrix: Matrix = {
  peers: [
    { kind: "member", name: 'a,"b"', prefixes: [] },
    { kind: "world", name: "world\u202e", prefixes: [] },
  ],
  ports: [
    { protocol: "tcp", first: 80, last: 90, isRest: false },
    { protocol: null, first: 0, last: 65_535, isRest: true },
  ],
  verdicts: [
    { id: 3, policy: "=1+1", path: "spec.ingress[0]", decision: "allow" },
    { id: 0, policy: "", path: "", decision: "allow" },
  ],
  cells: [
    [0, 1],
    [1, 1],
  ],
  leftOut: { peers: 0, ports: 0 },
};

test("each cell is a line; nothing in it is a formula, a quote too many, or unseen", () => {
  expect(matrixCsv(matrix, new Map([[1, [flow(), flow()]]])).split("\n")).toEqual([
    "peer,port,decision,policy,path,flows_seen",
    '"member:a,""b""",tcp/80-90,allow,\'=1+1,spec.ingress[0],0',
    '"member:a,""b""",*,allow,,,2',
    "world:world⟨202E⟩,tcp/80-90,allow,,,0",
    "world:world⟨202E⟩,*,allow,,,0",
    "",
  ]);
});
