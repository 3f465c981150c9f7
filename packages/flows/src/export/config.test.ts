import { expect, test } from "vitest";
import { egress, exportSchema, exportsSchema } from "./config.ts";

const problem = (config: object): string[] =>
  (exportSchema.safeParse(config).error?.issues ?? []).map(
    ({ path, message }) => `${path.join(".")}: ${message}`,
  );

test.each([
  {
    to: "file:/var/log/x0.json",
    max_size: "1MB",
    max_files: 0,
    events: ["dns", "drop"],
    fields: ["source.identity"],
  },
  { to: "udp:[::1]:4739", format: "ipfix-biflow", fields: ["octetDeltaCount"] },
  { to: "tcp:192.0.2.1:4739", allow: [{ ip: "10.0.0.0/8", port: 443 }], deny: [{ protocol: "icmp" }] },
  { to: "https://otlp.example", fields: ["source.address"], until: "2026-12-31T23:59:59Z", events: ["scan"] },
])("$to fits", (config) => {
  expect(problem(config)).toEqual([]);
});

test.each<[object, RegExp]>([
  [{}, /^to: /],
  [{ to: "syslog:host" }, /^to: "syslog:host" must begin with file:/],
  [{ to: "udp:h:1", formt: "ipfix" }, /Unrecognized key: "formt"/],
  [{ to: "udp:h:1", format: "netflow9" }, /^format: /],
  [{ to: "file:/x", format: "ipfix" }, /^format: is for udp: and tcp: only/],
  [{ to: "udp:h:1", allow: [{ port: 70_000 }] }, /^allow\.0\.port: /],
  [{ to: "udp:h:1", allow: [{ prot: "tcp" }] }, /^allow\.0: Unrecognized key: "prot"/],
  [{ to: "udp:h:1", allow: [{ ip: "10.0.0.0/33" }] }, /^allow\.0: ip cannot be "10.0.0.0\/33"/],
  [{ to: "udp:h:1", deny: [{ since: "1h" }] }, /^deny\.0: Unrecognized key: "since"/],
  [{ to: "udp:h:1", events: ["dns"] }, /^events: cannot be told by IPFIX/],
  [{ to: "file:/x", events: ["scan"] }, /^events: scan cannot be told in Hubble's format/],
  [{ to: "file:/x", events: ["dns", "flood"] }, /^events\.1: /],
  [{ to: "file:/x", fields: ["source.nonsense"] }, /^fields: "source.nonsense" is not known; write paths/],
  [{ to: "udp:h:1", fields: ["bytes"] }, /^fields: "bytes" is not known; write IANA's names/],
  [{ to: "http://h", fields: ["l4"] }, /^fields: "l4" is not known; write names of attributes/],
  [{ to: "file:/x", until: "15m" }, /^until: must be an ISO 8601 time/],
  [{ to: "file:/x", until: "2026-02-31T00:00:00Z" }, /^until: /],
  [{ to: "file:/x", max_size: "1kB" }, /^max_size: must be a size of at least 64KiB/],
  [{ to: "file:/x", max_size: "much" }, /^max_size: /],
  [{ to: "file:/x", max_files: -1 }, /^max_files: /],
  [{ to: "udp:h:1", max_files: 2 }, /^max_files: is for file: only/],
])("%j is refused by its key", (config, message) => {
  expect(problem(config)[0]).toMatch(message);
});

test("two exports to one place are refused", () => {
  const one = { to: "file:/x" };
  expect(exportsSchema.safeParse([one, { to: "file:/y" }, one]).error?.issues).toMatchObject([
    { path: [2, "to"], message: '"file:/x" is given twice' },
  ]);
});

test("egress names what leaves this host", () => {
  const exports = exportsSchema.parse(
    [
      "file:/x",
      "udp:127.0.0.1:1",
      "http://localhost:4318",
      "tcp:[::1]:2",
      "tcp:192.0.2.1:4739",
      "https://h",
    ].map((to) => ({ to })),
  );
  expect(egress(exports)).toEqual([
    "flows to tcp:192.0.2.1:4739 (flows.exports.4)",
    "flows to https://h (flows.exports.5)",
  ]);
});
