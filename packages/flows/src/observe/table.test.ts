import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Flow, FlowChange } from "../flow.ts";
import { nothingLearned } from "../learned.ts";
import { createTable, type TableOptions } from "./table.ts";

const at = new Date(2026, 10, 22, 14, 3, 22, 123);
const curl = {
  pid: 4711,
  comm: "curl",
  executable: "/usr/bin/curl",
  cgroup: null,
  unit: null,
  container: null,
};
const node = { pid: 80, comm: "node", executable: null, cgroup: null, unit: null, container: null };

function flow(changes: Partial<Flow> = {}): Flow {
  return {
    id: "1",
    state: "ended",
    start: at.toISOString(),
    end: at.toISOString(),
    source: { ip: "10.0.0.5", port: 51_234, name: null },
    destination: { ip: "2001:db8::1", port: 443, name: null },
    protocol: "tcp",
    icmp: null,
    direction: "egress",
    place: "local",
    netns: 0,
    interface: "eth0",
    verdict: "forwarded",
    bytes: { sent: 1234, received: 84_512 },
    packets: { sent: 12, received: 61 },
    tcpFlags: ["FIN", "SYN", "PSH", "ACK"],
    cookie: null,
    process: curl,
    peerProcess: null,
    ...nothingLearned,
    ...changes,
  };
}

const update = (changes: Partial<Flow> = {}): FlowChange => ({ change: "update", flow: flow(changes) });

function render(changes: readonly FlowChange[], options: Partial<TableOptions> = {}): string[] {
  const nowMs = at.getTime() + 60_000;
  const table = createTable({
    terminalColumns: undefined,
    color: false,
    streaming: false,
    nowMs,
    ...options,
  });
  return table.render(changes).split("\n").slice(0, -1);
}

test("a pipe gets every column, uncut", () => {
  expect(render([update()])).toEqual([
    "TIME          STATE   SOURCE                       DESTINATION          PROTO   PLACE      VERDICT        SENT  RECEIVED        PACKETS  FLAGS  INSIGHT",
    "14:03:22.123  ended   10.0.0.5:51234 curl(4711)  → [2001:db8::1]:443    tcp     local      forwarded   1.23 kB   84.5 kB          12/61  FSPA",
  ]);
});

test.each<[string, Partial<Flow>, string]>([
  ["the source's process", {}, "10.0.0.5:51234 curl(4711)  → [2001:db8::1]:443"],
  [
    "the local destination's process",
    { direction: "ingress" },
    "10.0.0.5:51234         → [2001:db8::1]:443 curl(4711)",
  ],
  [
    "both processes on loopback",
    { place: "loopback", peerProcess: node },
    "10.0.0.5:51234 curl(4711)  → [2001:db8::1]:443 node(80)",
  ],
  [
    "a learned name instead of its address",
    { destination: { ip: "2001:db8::1", port: 443, name: "db.example.test" } },
    "10.0.0.5:51234 curl(4711)  → db.example.test:443",
  ],
  [
    "what insight tells, the worst first",
    {
      application: "http",
      drops: { packets: 2, reason: "NO_SOCKET" },
      requests: { count: 40, errors: 1, latencyMs: 12.34 },
      tcp: { connectMs: 1, rttMs: 0.4567, minRttMs: 0.1, retransmits: 3 },
    },
    "FSPA   2 dropped NO_SOCKET, 40 http requests, 1 failed, 12.3 ms, 3 sent again, rtt 0.457 ms",
  ],
  [
    "the server name of TLS and the translated addresses",
    {
      application: "tls",
      tls: { version: "1.3", serverName: "api.example.test", encryptedHello: false },
      translated: {
        source: { ip: "192.0.2.1", port: 40_000 },
        destination: { ip: "2001:db8::1", port: 443 },
      },
    },
    "FSPA   TLS 1.3 api.example.test, as 192.0.2.1:40000 → 2001:db8::1:443",
  ],
  [
    "no ports and the type of ICMP",
    { protocol: "icmp", icmp: { type: 3, code: 1, id: 0 }, process: null, tcpFlags: [] },
    "10.0.0.5               → 2001:db8::1          icmp    local      forwarded   1.23 kB   84.5 kB          12/61  3/1",
  ],
  ["echo", { protocol: "icmpv6", icmp: { type: 129, code: 0, id: 4 }, tcpFlags: [] }, "12/61  echo"],
  [
    "no ports of protocols without",
    {
      protocol: "gre",
      source: { ip: "::1", port: 0, name: null },
      destination: { ip: "::2", port: 0, name: null },
      process: null,
    },
    "::1                    → ::2",
  ],
])("shows %s", (_, changes, expected) => {
  expect(render([update(changes)])[1]).toContain(expected);
});

test("shows the date of another day, and starts and ends as such", () => {
  const nowMs = at.getTime() + 86_400_000;
  expect(render([{ change: "start", flow: flow() }], { nowMs })[1]).toMatch(
    /^2026-11-22 14:03:22.123 {2}start /,
  );
});

test("columns widen as rows need it; the header comes once", () => {
  const nowMs = at.getTime();
  const table = createTable({ terminalColumns: undefined, color: false, streaming: true, nowMs });
  table.render([]);
  const long = update({ process: { ...curl, comm: "a-process-with-a-long-name" } });
  expect(table.render([long])).toContain("a-process-with-a-long-name(4711)");
  expect(table.render([update()])).not.toContain("SOURCE");
});

describe("a terminal", () => {
  test("loses the least important columns first", () => {
    const titles = (terminalColumns: number) =>
      render([update()], { terminalColumns })[0]!.trim().split(/\s+/);
    expect(titles(200)).toHaveLength(12);
    expect(titles(120)).not.toContain("VERDICT");
    expect(titles(80)).toEqual(["TIME", "SOURCE", "DESTINATION", "PROTO", "SENT"]);
    const streamed = render([], { terminalColumns: 80, streaming: true });
    expect(streamed[0]?.trim().split(/\s+/)).toEqual(["TIME", "STATE", "SOURCE", "DESTINATION", "PROTO"]);
  });

  test("cuts the process before the address, and the address in its middle", () => {
    const changes = { source: { ip: "2001:db8:1:2:3:4:5:6", port: 51_234, name: null } };
    const source = (terminalColumns: number) => render([update(changes)], { terminalColumns })[1];
    expect(source(200)).toContain("[2001:db8:1:2:3:4:5:6]:51234 curl(4711)");
    expect(source(70)).toMatch(/\[2001:db8:1:?2?:?…\S*:51234 /);
  });

  test("every line fits, whatever the flow and the width", () => {
    const text = fc.string({ unit: "binary", maxLength: 40 });
    const process = fc.record({
      pid: fc.nat(),
      comm: text,
      executable: text,
      cgroup: fc.constant(null),
      unit: fc.constant(null),
      container: fc.constant(null),
    });
    const ip = fc.oneof(fc.ipV4(), fc.ipV6());
    const end = fc.record({ ip, port: fc.nat(65_535), name: fc.constant(null) });
    const counters = fc.record({ sent: fc.nat(), received: fc.maxSafeNat() });
    const some = fc.record({ source: end, destination: end, process, peerProcess: process, bytes: counters });
    fc.assert(
      fc.property(
        fc.array(some, { maxLength: 4 }),
        fc.integer({ min: 40, max: 250 }),
        fc.boolean(),
        (flows, width, streaming) => {
          const lines = render(flows.map(update), { terminalColumns: width, streaming });
          for (const line of lines) expect([...line].length, line).toBeLessThanOrEqual(width);
        },
      ),
    );
  });
});

describe("colour", () => {
  test("only where something is wrong, besides a dim header", () => {
    const coloured = render([update(), update({ tcpFlags: ["RST"] })], { color: true });
    expect(coloured[0]?.startsWith("\x1b[2mTIME")).toBe(true);
    expect(coloured[1]).not.toContain("\x1b");
    expect(coloured[2]).toContain("\x1b[31mR\x1b[39m");
    expect(coloured.map(stripVTControlCharacters)).toEqual(render([update(), update({ tcpFlags: ["RST"] })]));
  });

  test("none unless asked for; names cannot bring their own", () => {
    const hostile = { ...curl, comm: "\x1b[2Jx\u202e\r\n\u009b" };
    const [, line, more] = render([update({ process: hostile })]);
    expect(line).toContain("�[2Jx����(4711)");
    expect(more).toBeUndefined();
  });
});
