import { expect, test } from "vitest";
import type { OpensslExchange } from "./exchanges.ts";
import { flowOfExchange, type JoinableFlow } from "./join.ts";

const exchange: OpensslExchange = {
  pid: 7,
  isServer: true,
  cookie: "55",
  beganNs: 1000,
  latencyNs: 50,
  method: "GET",
  target: "/",
  status: "200",
  isError: false,
};
const flow: JoinableFlow = {
  id: 1,
  pid: null,
  peerPid: 7,
  cookie: null,
  peerCookie: "55",
  firstNs: 500,
  lastNs: Number.POSITIVE_INFINITY,
  mayBeTls: true,
};
const joined = (told: Partial<OpensslExchange>, ...flows: readonly Partial<JoinableFlow>[]): number | null =>
  flowOfExchange(
    { ...exchange, ...told },
    flows.map((each) => ({ ...flow, ...each })),
  );

test("by the socket's cookie, among many flows of the process", () => {
  expect(joined({}, { peerCookie: "54" }, { id: 2 }, { peerCookie: null })).toBe(2);
  expect(joined({}, { peerCookie: "54" }, { peerCookie: "56" })).toBeNull();
  expect(joined({}, { peerPid: 8 })).toBeNull();
});

test("of a client, the socket that it opened with", () => {
  const own = { pid: 7, cookie: "55", peerPid: 8, peerCookie: "9" };
  expect(joined({ isServer: false }, own)).toBe(1);
  expect(joined({ isServer: true }, own)).toBeNull();
});

test.each<[string, readonly Partial<JoinableFlow>[], number | null]>([
  ["one flow", [{}], 1],
  ["no flow", [], null],
  ["two that fit", [{}, { id: 2 }], null],
  ["one that fits, and one of another process", [{ id: 2 }, { peerPid: 8 }], 2],
  ["one that this process opened itself", [{ pid: 7, peerPid: null }], null],
  ["one that began later", [{ firstNs: 1001 }], null],
  ["one that ended before", [{ lastNs: 999 }], null],
  ["one that is known to be something else", [{ mayBeTls: false }, { id: 3 }], 3],
])("without a cookie, by process and time: %s", (_, flows, expected) =>
  expect(joined({ cookie: null }, ...flows)).toBe(expected),
);

test("a flow whose cookie is not known fits if it is the only one", () => {
  expect(joined({}, { peerCookie: null }, { peerCookie: "56" })).toBe(1);
  expect(joined({}, { peerCookie: null }, { id: 2, peerCookie: null })).toBeNull();
});
