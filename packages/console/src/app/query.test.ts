import fc from "fast-check";
import { expect, test } from "vitest";
import {
  apiQuery,
  columnKeys,
  command,
  followQuery,
  formatView,
  isLive,
  looksLikeAddress,
  mapSizes,
  parseView,
  sortKeys,
  type View,
} from "./query.ts";

const value = fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" });
const view: fc.Arbitrary<View> = fc.record(
  {
    filter: fc.record(
      {
        ip: fc.constantFrom("10.0.0.1", "10.0.0.0/8", "::1", "2001:db8::/32"),
        port: fc.integer({ min: 0, max: 65535 }).map(String),
        protocol: value,
        process: value,
        unit: value,
        container: value,
        name: value,
        dropped: fc.constantFrom("true", "false"),
        verdict: fc.constantFrom("forwarded", "audit", "dropped"),
        since: fc.constantFrom("15m", "1h30m", "2026-01-31T08:00:00Z"),
        until: fc.constantFrom("5m", "2026-01-31T08:00:00.250Z"),
      },
      { requiredKeys: [] },
    ),
    sort: fc.record({ key: fc.constantFrom(...sortKeys), descending: fc.boolean() }),
    flow: value,
    live: fc.boolean(),
    columns: fc.uniqueArray(fc.constantFrom(...columnKeys), { minLength: 1 }),
    at: fc.constantFrom("2026-01-31T08:00:00Z", "2026-01-31T08:00:00.250Z"),
    service: value,
    map: fc.constantFrom(...mapSizes),
  },
  { requiredKeys: ["filter", "sort", "live"] },
);

test("the URL holds the whole view", () => {
  fc.assert(
    fc.property(view, (wanted) => {
      expect(parseView(formatView(wanted))).toEqual({ view: wanted, problems: [] });
    }),
  );
});

test("the view of the bare page has an empty query string", () => {
  expect(formatView(parseView("").view)).toBe("");
});

test("addresses stay readable in the URL", () => {
  expect(formatView(parseView("?ip=2001%3Adb8%3A%3A%2F32").view)).toBe("?ip=2001:db8::/32");
});

test.each([
  ["?ip=10.0.0.300", 'ip: "10.0.0.300" is not an address or prefix (10.0.0.0/8)'],
  ["?port=70000", 'port: "70000" is not a port (0 to 65535)'],
  ["?since=yesterday", 'since: "yesterday" is not a time (15m, 2h or 2026-01-31T08:00:00Z)'],
  ["?sort=colour", `sort: "colour" is none of ${sortKeys.join(", ")}`],
  [
    "?colour=red",
    '"colour" is none of ip, port, protocol, process, unit, container, name, dropped, verdict, since, until, sort, flow, live, columns, at, service, map',
  ],
  ["?columns=source,colour", `columns: "source,colour" may list ${columnKeys.join(", ")}`],
  ["?dropped=some", 'dropped: "some" is neither true nor false'],
  ["?at=noon", 'at: "noon" is not a time (2026-01-31T08:00:00Z)'],
  ["?map=huge", 'map: "huge" is none of off, large'],
])("%s is refused with what is wrong", (search, problem) => {
  const parsed = parseView(search);
  expect(parsed.problems).toEqual([problem]);
  expect(parsed.view.filter).toEqual({});
});

test.each([
  ["127.0.0.1", true],
  ["10.0.0.0/8", true],
  ["::", true],
  ["fe80::1", true],
  ["2001:db8::/129", false],
  ["1:2:3:4:5:6:7:8:9", false],
  ["1.2.3", false],
  ["1.2.3.4.5", false],
  ["10.0.0.0/33", false],
  ["curl", false],
  ["443", false],
])("%s is an address: %s", (text, expected) => {
  expect(looksLikeAddress(text)).toBe(expected);
});

test("the node is asked for the filter, never for the order", () => {
  const { view } = parseView("?process=a%26b&sort=-sent&flow=7");
  expect(apiQuery(view.filter, { limit: "10" })).toBe("?limit=10&process=a%26b");
});

test("the live stream is asked without a time", () => {
  expect(followQuery(parseView("?since=1h&port=53").view.filter)).toBe("?updates=true&port=53");
});

test("the command quotes what a shell would take apart", () => {
  expect(command({ process: "it's", port: "53" }, "--follow")).toBe(
    "x0 flows observe --port 53 --process 'it'\\''s' --follow",
  );
});

test("the command has no character that acts on the terminal it is pasted into", () => {
  expect(command({ process: "a\u001b[2J'\\\u202e" })).toBe(
    "x0 flows observe --process $'a\\U0000001b[2J\\'\\\\\\U0000202e'",
  );
});

test("a range that has an end is not live", () => {
  expect(isLive(parseView("?since=1h").view)).toBe(true);
  expect(isLive(parseView("?until=5m").view)).toBe(false);
  expect(isLive(parseView("?live=off").view)).toBe(false);
});
