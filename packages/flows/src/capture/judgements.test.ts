/** What verdicts met, packet by packet: also a verdict that was overturned before anybody read it, or that came late. */
import { setTimeout } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import {
  createCgroup,
  type FrameSender,
  frameSender,
  missingKernel,
  openSockets,
  type Pair,
  pair,
  requireKernel,
  type Sockets,
} from "../../../../test/lab/index.ts";
import { ethernet, ipv4, udp } from "../testing/frames.ts";
import { type Judged, judge } from "../testing/judged.ts";

const needs = ["netns", "nftables", "bpf", "btf", "cgroup2"] as const;
const open = (port: number): string =>
  `{nodeSelector: {}, ingress: [{toPorts: [{ports: [{port: "${port}"}]}]}]}`;

let net: Pair;
let frames: FrameSender;
/** Somebody who takes what comes to port 80, so that nobody complains. */
let server: Sockets;
let sent = 0;

beforeAll(async () => {
  if ((await missingKernel(...needs)) !== undefined) return;
  net = await pair();
  frames = await frameSender(net.left);
  server = await openSockets(net.server);
  await server.listen("udp", net.right.ipv4, 80);
});
afterAll(async () => {
  await server?.[Symbol.asyncDispose]();
  await frames?.[Symbol.asyncDispose]();
  await net?.[Symbol.asyncDispose]();
});
beforeEach(async (context) => {
  await requireKernel(context, ...needs);
  sent = 0;
});

/** Sends so many datagrams to a port; resolves when the kernel has counted them. */
async function send(judged: Judged, port: number, count: number): Promise<void> {
  const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
  const ends = { source: net.left.ipv4, destination: net.right.ipv4 };
  const frame = ethernet(ipv4(ends, udp({ sourcePort: 40_000, destinationPort: port })), {
    source: mac(net.left.mac),
    destination: mac(net.right.mac),
  });
  await frames.send(Array.from({ length: count }, () => frame));
  sent += count;
  while (judged.packets() < sent) await setTimeout(1);
}

test("each packet is its verdict's, however often that changes between two reads", async () => {
  using judged = judge(net.server);
  await send(judged, 80, 2);
  judged.apply(open(81));
  await send(judged, 80, 3);
  judged.apply(open(80));
  await send(judged, 80, 4);
  judged.apply(open(81));
  await send(judged, 80, 1);
  expect(judged.flows()).toMatchObject([{ verdict: "dropped", packets: { sent: 10 } }]);
  // What came before all policy is no rule's.
  expect(judged.figures()).toEqual([
    { decision: "deny", flows: 1, packets: 4 },
    { decision: "allow", flows: 1, packets: 4 },
  ]);
});

test("a flow that is denied by turns is one flow of each rule", async () => {
  using judged = judge(net.server);
  for (const port of [81, 80, 81, 80]) {
    judged.apply(open(port));
    await send(judged, 80, 1);
    judged.flows();
  }
  expect(judged.figures()).toEqual([
    { decision: "deny", flows: 1, packets: 2 },
    { decision: "allow", flows: 1, packets: 2 },
  ]);
});

test("what a workload denies is its rule's from the first packet on, and shown", async () => {
  await using cgroup = createCgroup();
  await using sockets = await openSockets([net.server, cgroup]);
  const unit = await sockets.listen("udp", net.right.ipv4, 90);
  using judged = judge(net.server);
  judged.apply(
    '{endpointSelector: {matchLabels: {app: nginx}}, ingress: [{toPorts: [{ports: [{port: "81"}]}]}]}',
    [{ endpoint: 1, path: cgroup.name, cgroup: Number(cgroup.id), isJudged: true }],
  );
  await send(judged, 90, 1);
  // The device's program has told the flow; the cgroup's comes after it.
  while (judged.flows()[0]?.verdict !== "dropped") await setTimeout(1);
  await send(judged, 90, 2);
  expect(judged.flows()).toMatchObject([{ verdict: "dropped", packets: { sent: 3 } }]);
  expect(judged.figures()).toEqual([{ decision: "deny", flows: 1, packets: 3 }]);
  expect(judged.records().map(({ verdict }) => verdict)).toEqual(["forwarded", "dropped"]);
  expect(unit.heard()).toBe("");
});
