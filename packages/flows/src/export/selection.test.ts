import { expect, test } from "vitest";
import type { ScanEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { testFlow, testProcess } from "../testing/flows.ts";
import { compileSelection, type ExportFilter } from "./selection.ts";

const web = testFlow();
const dns = testFlow({
  protocol: "udp",
  destination: { ip: "10.0.0.53", port: 53, name: null },
  process: testProcess({ comm: "resolved", executable: "/usr/lib/resolved" }),
});
const scan = (flow: typeof web): ScanEvent => ({
  kind: "scan",
  ...partiesOf(flow, "2026-11-22T14:03:22.000Z"),
  scan: "ports",
  count: 100,
  seconds: 60,
});

const taken = (allow: ExportFilter[], deny: ExportFilter[] = []): boolean[] => {
  const selection = compileSelection(allow, deny);
  const flows = [web, dns].map((flow) => selection.flow(flow));
  expect([web, dns].map((flow) => selection.event(scan(flow)))).toEqual(flows);
  return flows;
};

test.each<[string, ExportFilter[], ExportFilter[], boolean[]]>([
  ["without filters all", [], [], [true, true]],
  ["what one of several allows", [{ port: 1 }, { port: 53 }], [], [false, true]],
  ["only what fits a whole filter", [{ port: 53, protocol: "tcp" }], [], [false, false]],
  ["not what is denied", [], [{ process: "resolved" }], [true, false]],
  ["deny outranks allow", [{ ip: "10.0.0.0/8" }], [{ protocol: "udp" }], [true, false]],
])("%s is taken", (_, allow, deny, expected) => {
  expect(taken(allow, deny)).toEqual(expected);
});

test("only an export without filters need not look at flows", () => {
  expect(compileSelection([], []).isAll).toBe(true);
  expect(compileSelection([], [{ port: 1 }]).isAll).toBe(false);
});
