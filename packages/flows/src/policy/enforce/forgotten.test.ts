/** When a connection that passes is forgotten: with its flow, but not for the sake of a flood. */
import { mkdirSync, rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Clock, systemClock } from "@x0tta6bl4/core";
import { beforeEach, expect, test } from "vitest";
import {
  createCgroup,
  frameSender,
  openSockets,
  type Place,
  pair,
  requireKernel,
} from "../../../../../test/lab/index.ts";
import { ethernet, ipv4, udp } from "../../testing/frames.ts";
import { judge } from "../../testing/judged.ts";

const ASKED = 7100;
const MOST_FLOWS = 1024;
const FLOOD = 6 * MOST_FLOWS;
/** Longer than a flow may be unknown, and shorter than it may be silent. */
const SWEPT_MS = 45_000;
const IDLE_MS = 90_000;
const asking = `{nodeSelector: {}, ingress: [{}], egress: [{toPorts: [{ports: [{port: "${ASKED}"}]}]}]}`;

beforeEach((context) => requireKernel(context, "netns", "bpf", "btf", "tcx", "cgroup2"));

/** The system's, as much later as is wanted. */
function laterClock(): Clock & { later(ms: number): void } {
  let aheadMs = 0;
  return {
    nowMs: () => systemClock.nowMs() + aheadMs,
    monotonicNs: () => systemClock.monotonicNs() + BigInt(aheadMs) * 1_000_000n,
    later(ms) {
      aheadMs += ms;
    },
  };
}

test("a flood of packets that are denied ends no silent connection", { timeout: 60_000 }, async () => {
  await using net = await pair();
  await using edge = await openSockets(net.server);
  await using near = await openSockets(net.client);
  await using frames = await frameSender(net.left);
  const clock = laterClock();
  using judged = judge(net.server, { maxFlows: MOST_FLOWS, recentFlows: 64 }, clock);
  judged.apply(asking);
  const server = await near.listen("tcp", net.left.ipv4, ASKED);
  const client = await edge.dial("tcp", { host: net.left.ipv4, port: ASKED });
  client.say("question");
  await server.hears("question");
  server.say("answer");
  await client.hears("answer");
  const isWatched = (): boolean =>
    judged.flows().some(({ state, destination }) => state === "active" && destination.port === ASKED);
  expect(isWatched()).toBe(true);

  const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
  const hardware = { source: mac(net.left.mac), destination: mac(net.right.mac) };
  for (let sent = 0; sent < FLOOD; sent += 512) {
    const flood = Array.from({ length: 512 }, (_, index) => {
      const ends = { source: net.left.ipv4, destination: net.right.ipv4 };
      const ports = { sourcePort: 1024 + sent + index, destinationPort: 9 };
      return ethernet(ipv4(ends, udp(ports)), hardware);
    });
    await frames.send(flood);
    judged.flows();
  }
  expect(isWatched()).toBe(false);
  clock.later(SWEPT_MS);
  judged.flows();
  server.say("more");
  await client.hears("more");
});

test("a workload's connection is forgotten with its flow, as the node's", async () => {
  await using net = await pair();
  await using slice = createCgroup();
  const path = join(slice.path, "asking.service");
  mkdirSync(path);
  const inside: Place = {
    enter: (command) => ["sh", "-c", 'echo $$ >"$0" && exec "$@"', `${path}/cgroup.procs`, ...command],
  };
  {
    await using unit = await openSockets([net.server, inside]);
    await using near = await openSockets(net.client);
    const clock = laterClock();
    using judged = judge(net.server, {}, clock);
    judged.apply(asking, [{ endpoint: 1, path, cgroup: statSync(path).ino, isJudged: true }]);
    const resolver = await near.listen("udp", net.left.ipv4, ASKED);
    const client = await unit.dial("udp", { host: net.left.ipv4, port: ASKED });
    client.say("question");
    await resolver.hears("question");
    resolver.say("answer");
    await client.hears("answer");
    const left = (): number => {
      judged.flows();
      return judged.connections();
    };
    clock.later(SWEPT_MS);
    expect(left()).toBe(2);
    clock.later(IDLE_MS);
    left();
    clock.later(SWEPT_MS);
    expect(left()).toBe(0);
  }
  rmdirSync(path);
});
