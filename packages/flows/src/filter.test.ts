import { BlockList } from "node:net";
import { X0Error } from "@x0tta6bl4/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileFilter, type FlowFacts, type FlowFilter, parseAddressPrefix } from "./filter.ts";
import { protocolName, protocolNumber, protocolNumbers, tcpFlagNames } from "./protocols.ts";

const nowMs = Date.parse("2026-11-22T12:00:00Z");
const curl = {
  pid: 42,
  comm: "curl",
  executable: "/usr/bin/curl",
  cgroup: null,
  unit: null,
  container: null,
};
const node = {
  pid: 7,
  comm: "MainThread",
  executable: "/opt/node/bin/node",
  cgroup: null,
  unit: null,
  container: null,
};
const flow: FlowFacts = {
  source: { ip: "10.1.2.3", port: 40_000 },
  destination: { ip: "2001:db8::5", port: 443 },
  protocol: "tcp",
  start: "2026-11-22T11:40:00.000Z",
  end: "2026-11-22T11:50:00.000Z",
  process: curl,
  peerProcess: node,
};

test.each<[FlowFilter, boolean]>([
  [{}, true],
  [{ ip: "10.1.2.3" }, true],
  [{ ip: "10.0.0.0/8" }, true],
  [{ ip: "10.1.2.4/31" }, false],
  [{ ip: "10.1.2.2/31" }, true],
  [{ ip: "2001:db8::/32" }, true],
  [{ ip: "2001:DB8:0::5" }, true],
  [{ ip: "2001:db9::/32" }, false],
  [{ ip: "0.0.0.0/0" }, true],
  [{ ip: "::/0" }, true],
  [{ ip: "::ffff:10.1.2.3" }, true],
  [{ ip: "::ffff:10.0.0.0/104" }, true],
  [{ port: 443 }, true],
  [{ port: 40_000 }, true],
  [{ port: 80 }, false],
  [{ protocol: "tcp" }, true],
  [{ protocol: "TCP" }, true],
  [{ protocol: "6" }, true],
  [{ protocol: "udp" }, false],
  [{ process: "curl" }, true],
  [{ process: "/usr/bin/curl" }, true],
  [{ process: "node" }, true],
  [{ process: "7" }, true],
  [{ process: "42" }, true],
  [{ process: "cur" }, false],
  [{ process: "bin/curl" }, true],
  [{ process: "4" }, false],
  [{ since: "10m" }, true],
  [{ since: "9m" }, false],
  [{ until: "20m" }, false],
  [{ until: "2026-11-22T11:40:00.001Z" }, true],
  [{ ip: "10.1.2.3", port: 443, protocol: "tcp", process: "curl", since: "1h", until: "now" }, true],
  [{ ip: "10.1.2.3", port: 443, protocol: "udp" }, false],
])("%j → %s", (filter, expected) => {
  expect(compileFilter(filter, nowMs)(flow)).toBe(expected);
});

test.each<[FlowFilter, string]>([
  [{ ip: "example.org" }, 'ip cannot be "example.org"'],
  [{ ip: "10.0.0.0/33" }, 'ip cannot be "10.0.0.0/33"'],
  [{ ip: "10.0.0.0/" }, 'ip cannot be "10.0.0.0/"'],
  [{ ip: "10.0.0.0/8/8" }, 'ip cannot be "10.0.0.0/8/8"'],
  [{ ip: "2001:db8::/129" }, 'ip cannot be "2001:db8::/129"'],
  [{ port: 65_536 }, 'port cannot be "65536"'],
  [{ port: 1.5 }, 'port cannot be "1.5"'],
  [{ protocol: "tpc" }, 'protocol cannot be "tpc"'],
  [{ protocol: "256" }, 'protocol cannot be "256"'],
  [{ process: " " }, 'process cannot be " "'],
  [{ since: "yesterday" }, 'since cannot be "yesterday"'],
  [{ until: "5x" }, 'until cannot be "5x"'],
])("%j is refused with a hint", (filter, message) => {
  try {
    compileFilter(filter, nowMs);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(X0Error);
    expect(error).toMatchObject({
      code: "X0_FLOWS_INVALID_FILTER",
      exit: 2,
      message,
      hint: expect.any(String),
    });
  }
});

describe("filter ≡ post-filter", () => {
  const byte = fc.integer({ min: 0, max: 3 });
  const ip = fc.oneof(
    fc.tuple(byte, byte).map(([a, b]) => `10.0.${a}.${b}`),
    fc.tuple(byte, byte).map(([a, b]) => `2001:db8:${a}::${b}`),
  );
  const port = fc.integer({ min: 0, max: 3 });
  const process = fc.constantFrom(null, curl, node);
  const at = fc
    .integer({ min: 0, max: 9 })
    .map((minutes) => new Date(nowMs - minutes * 60_000).toISOString());
  const facts: fc.Arbitrary<FlowFacts> = fc.record({
    source: fc.record({ ip, port }),
    destination: fc.record({ ip, port }),
    protocol: fc.constantFrom("tcp", "udp", "143"),
    start: at,
    end: at,
    process,
    peerProcess: process,
  });
  const prefix = fc
    .tuple(ip, fc.nat(128))
    .map(([address, bits]) => `${address}/${address.includes(":") ? bits : bits % 33}`);
  const filter: fc.Arbitrary<FlowFilter> = fc.record(
    {
      ip: fc.oneof(ip, prefix),
      port,
      protocol: fc.constantFrom("tcp", "17", "143"),
      process: fc.constantFrom("curl", "node", "7", "/opt/node/bin/node"),
      since: fc.oneof(at, fc.constantFrom("1m", "5m")),
      until: fc.oneof(at, fc.constantFrom("1m", "now")),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<FlowFilter>;

  test("each filter alone, combined by hand, equals the whole", () => {
    fc.assert(
      fc.property(fc.array(facts, { maxLength: 30 }), filter, (flows, query) => {
        const whole = flows.filter(compileFilter(query, nowMs));
        let rest = flows;
        for (const [key, value] of Object.entries(query))
          rest = rest.filter(compileFilter({ [key]: value }, nowMs));
        expect(whole).toEqual(rest);
      }),
    );
  });

  test("prefixes agree with node:net's BlockList", () => {
    fc.assert(
      fc.property(facts, prefix, (each, text) => {
        const [address = "", bits] = text.split("/");
        const family = address.includes(":") ? "ipv6" : "ipv4";
        const list = new BlockList();
        list.addSubnet(address, Number(bits), family);
        const matches = (end: string) => end.includes(":") === (family === "ipv6") && list.check(end, family);
        expect(compileFilter({ ip: text }, nowMs)(each)).toBe(
          matches(each.source.ip) || matches(each.destination.ip),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

test("IPv4 prefixes are counted from the mapped address", () => {
  expect(parseAddressPrefix("10.0.0.0/8")).toMatchObject({ prefixBits: 104 });
  expect(parseAddressPrefix("10.0.0.1")).toMatchObject({ prefixBits: 128 });
  expect([...parseAddressPrefix("10.0.0.1").bytes.subarray(10)]).toEqual([255, 255, 10, 0, 0, 1]);
});

test("protocol names and numbers are inverse", () => {
  for (let number = 0; number < 256; number++) expect(protocolNumber(protocolName(number))).toBe(number);
  for (const [name, number] of Object.entries(protocolNumbers)) expect(protocolName(number)).toBe(name);
  expect(protocolNumber("ipv6-icmp")).toBe(58);
});

test("TCP flags are named from the lowest bit", () => {
  expect(tcpFlagNames(0xff)).toEqual(["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"]);
  expect(tcpFlagNames(0x12)).toEqual(["SYN", "ACK"]);
});
