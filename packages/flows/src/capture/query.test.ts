import { systemClock } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import type { FlowEvent } from "../event.ts";
import type { FlowQuery } from "../flow.ts";
import { compileEventFilter } from "./query.ts";

const parties = {
  time: "2026-01-31T08:00:00.000Z",
  flow: null,
  source: { ip: "10.0.0.1", port: 4000, name: null },
  destination: { ip: "10.0.0.2", port: 53, name: "db.test" },
  protocol: "udp",
  netns: 1,
  process: null,
};
const drop: FlowEvent = {
  kind: "drop",
  ...parties,
  reason: "NO_SOCKET",
  fromSource: true,
  tcpFlags: [],
  bytes: 36,
  interface: "lo",
};
const scan: FlowEvent = { kind: "scan", ...parties, scan: "ports", count: 100, seconds: 1 };

test.each<[Partial<FlowQuery>, boolean, boolean]>([
  [{}, true, true],
  [{ port: 53, ip: "10.0.0.0/24", name: "db.test" }, true, true],
  [{ port: 54 }, false, false],
  [{ dropped: "true" }, true, false],
  [{ dropped: "false" }, false, true],
  [{ verdict: "dropped" }, false, false],
  [{ since: "2026-01-31T08:00:01Z" }, false, false],
])("an event without a flow is asked %j", (query, isDropWanted, isScanWanted) => {
  const matches = compileEventFilter({ limit: 1, ...query }, systemClock.nowMs());
  expect([matches(drop), matches(scan)]).toEqual([isDropWanted, isScanWanted]);
});
