/** Which connections stay remembered: on a map with the kernel's layout, and times of the test's own. */
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { connectionKeyLayout, connectionLayout } from "../../generated/layout.ts";
import { mapAccess } from "../../kernel/bpf.ts";
import { openLibc } from "../../kernel/libc.ts";
import { createMap } from "../../kernel/map.ts";
import { type Connections, openConnections } from "./connections.ts";

beforeEach((context) => requireKernel(context, "bpf"));

const HASH = 1;
const GRACE = 100;
const IDLE = 10_000;
const HALF_ROUND = 2 ** 31;
const ages = { grace: GRACE, idle: IDLE };
const tuple = (port: number) => ({
  protocol: 6,
  source: { ip: "192.0.2.1", port },
  destination: { ip: "203.0.113.9", port: 443 },
});

interface Remembered {
  readonly connections: Connections;
  /** With the flow of that id, heard of at that time. */
  put(port: number, flow: number, last: number): void;
  /** How many are left. @param evicted flows, and when they were heard of */
  left(nowTicks: number, isActive: boolean, evicted?: ReadonlyMap<number, number>): number;
}

function remembered(maxEntries: number): Remembered {
  const libc = openLibc();
  const map = createMap(libc, {
    type: HASH,
    keyBytes: connectionKeyLayout.size,
    valueBytes: connectionLayout.size,
    maxEntries,
  });
  const connections = openConnections(libc, map);
  const key = libc.allocate(connectionKeyLayout.size);
  const value = libc.allocate(connectionLayout.size);
  onTestFinished(() => {
    connections.close();
    for (const memory of [key, value]) memory.free();
    libc.close(map);
  });
  return {
    connections,
    put(port, flow, last) {
      key.view.setUint32(0, port, true);
      value.view.setUint32(connectionLayout.last, last, true);
      value.view.setUint32(connectionLayout.flow, flow, true);
      expect(mapAccess(libc).update(map, key, value)).toBe(0);
    },
    left(nowTicks, isActive, evicted = new Map()) {
      connections.sweep(
        () => isActive,
        nowTicks,
        ages,
        (low) => evicted.get(low),
        () => {},
      );
      return connections.count;
    },
  };
}

test("one goes with its flow, after a while in which a flow may not be known yet", () => {
  const { put, left } = remembered(8);
  put(1, 7, 1000);
  expect(left(1000 + GRACE, false)).toBe(1);
  expect(left(1001 + GRACE, true)).toBe(1);
  expect(left(1001 + GRACE, false)).toBe(0);
});

test("one that was not heard of for half the clock's round is old, one that is a little ahead is new", () => {
  const { put, left } = remembered(8);
  put(1, 7, 1000 + GRACE);
  put(2, 0, 1000 + GRACE);
  expect(left(1000, false)).toBe(2);
  expect(left(1000 + HALF_ROUND + 2 * GRACE, false)).toBe(0);
});

test("one whose flow had to make room stays as long as a silent connection does", () => {
  const { put, left } = remembered(8);
  put(1, 7, 1000);
  put(2, 8, 1000);
  const evicted = new Map([[7, 5000]]);
  expect(left(5000 + IDLE, false, evicted)).toBe(1);
  expect(left(5001 + IDLE, false, evicted)).toBe(0);
});

test("older ones without room are counted, and no error", () => {
  const { connections, left } = remembered(2);
  connections.remember([tuple(1), tuple(1), tuple(2), tuple(3), tuple(4)], 0);
  expect(connections.unremembered).toBe(2);
  expect(left(0, false)).toBe(2);
});
