import { expect, test } from "vitest";
import type { ScanEvent } from "../event.ts";
import { partiesOf } from "../parties.ts";
import { testFlow, testProcess } from "../testing/flows.ts";
import { compileSelection, type ExportFilter } from "./selection.ts";

const web = testFlow();
const dns = testFlow({
  protocol: "udp",
  destination: { ip: "10.0.0.53", port: 53, name: null },
  process: testProcess({ comm: "resolved", executable: "/usr/lib/resolved", unit: "resolved.service" }),
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
  ["what a unit does", [{ unit: "resolved.service" }], [], [false, true]],
  ["what has a name", [{ name: "*.org" }], [], [true, false]],
  ["deny outranks allow", [{ ip: "10.0.0.0/8" }], [{ protocol: "udp" }], [true, false]],
])("%s is taken", (_, allow, deny, expected) => {
  expect(taken(allow, deny)).toEqual(expected);
});

test("a dropped packet is one of a flow with drops", () => {
  const drop = {
    kind: "drop" as const,
    ...partiesOf(web, "2026-11-22T14:03:22.000Z"),
    reason: "NO_SOCKET",
    fromSource: true,
    tcpFlags: [],
    bytes: 60,
    interface: "eth0",
  };
  const selection = compileSelection([{ dropped: "true", id: web.id }], []);
  expect([drop, scan(web), { ...drop, flow: null }].map(selection.event)).toEqual([true, false, false]);
});

test("only an export without filters need not look at flows", () => {
  expect(compileSelection([], []).isAll).toBe(true);
  expect(compileSelection([], [{ port: 1 }]).isAll).toBe(false);
});
