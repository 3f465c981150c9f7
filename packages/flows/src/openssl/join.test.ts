import { expect, test } from "vitest";
import type { OpensslExchange } from "./exchanges.ts";
import { flowOfExchange, type JoinableFlow } from "./join.ts";

const exchange: OpensslExchange = {
  pid: 7,
  isServer: true,
  beganNs: 1000,
  latencyNs: 50,
  method: "GET",
  target: "/",
  status: "200",
  isError: false,
};
const flow: JoinableFlow = {
  id: 1,
  pid: undefined,
  peerPid: 7,
  firstNs: 500,
  lastNs: Infinity,
  mayBeTls: true,
};

test.each<[string, readonly Partial<JoinableFlow>[], number | null]>([
  ["one flow", [{}], 1],
  ["no flow", [], null],
  ["two that fit", [{}, { id: 2 }], null],
  ["one that fits, and one of another process", [{ id: 2 }, { peerPid: 8 }], 2],
  ["one that this process opened itself", [{ pid: 7, peerPid: undefined }], null],
  ["one that began later", [{ firstNs: 1001 }], null],
  ["one that ended before", [{ lastNs: 999 }], null],
  ["one that is known to be something else", [{ mayBeTls: false }, { id: 3 }], 3],
])("%s", (_, flows, expected) =>
  expect(
    flowOfExchange(
      exchange,
      flows.map((each) => ({ ...flow, ...each })),
    ),
  ).toBe(expected),
);

test("of a client, the flow that it opened", () => {
  const own = { ...flow, pid: 7, peerPid: undefined };
  expect(flowOfExchange({ ...exchange, isServer: false }, [own, { ...flow, id: 2 }])).toBe(1);
});
