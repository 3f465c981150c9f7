/** Packets of a bridge are held against the policy at the bridge, and counted once, also those that are denied there. */
import { setTimeout } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import {
  bridge,
  createNamespace,
  frameSender,
  type Interface,
  openSockets,
  pair,
  requireKernel,
} from "../../../../../test/lab/index.ts";
import type { Flow } from "../../flow.ts";
import { ethernet, ipv4, udp } from "../../testing/frames.ts";
import { judge } from "../../testing/judged.ts";

const DENIED = 80;
const ALLOWED = 81;
const OWN = 40_000;
const BROADCAST = "10.77.1.255";
const toAllowed = `[{toPorts: [{ports: [{port: "${ALLOWED}"}]}]}]`;

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf", "bridge"));

test("both ways, and between the ports of the bridge", async () => {
  await using middle = await createNamespace();
  await using one = await createNamespace();
  await using two = await createNamespace();
  const { hosts, own } = await bridge(middle, [one, two]);
  const first = hosts[0] as Interface;
  await using sockets = await openSockets(middle);
  await using frames = await frameSender(first);
  using judged = judge(middle);
  judged.apply(`{nodeSelector: {}, ingress: ${toAllowed}, egress: ${toAllowed}}`);
  const flowTo = (ip: string, port: number): Flow | undefined =>
    judged.flows().find(({ destination }) => destination.ip === ip && destination.port === port);
  const frame = (destination: string, port: number, mac = own.mac): Uint8Array =>
    ethernet(
      ipv4(
        { source: first.ipv4, destination },
        udp({ sourcePort: OWN, destinationPort: port }, Buffer.from("x")),
      ),
      {
        source: macBytes(first.mac),
        destination: macBytes(mac),
      },
    );

  const socket = await sockets.listen("udp", "0.0.0.0", OWN);
  const hearing = await sockets.listen("udp", own.ipv4, ALLOWED);
  const deaf = await sockets.listen("udp", "0.0.0.0", DENIED);
  for (const port of [DENIED, ALLOWED]) {
    for (let count = 0; count < 3; count++) socket.say("x", { host: first.ipv4, port });
    await frames.send(Array.from({ length: 3 }, () => frame(own.ipv4, port)));
    const verdict = port === DENIED ? "dropped" : "forwarded";
    for (const ip of [first.ipv4, own.ipv4]) {
      while ((flowTo(ip, port)?.packets.sent ?? 0) < 3) await setTimeout(5);
      expect(flowTo(ip, port)).toMatchObject({ verdict, packets: { sent: 3, received: 0 } });
    }
  }
  await hearing.hears("xxx");
  const of = (decision: string) => judged.figures().filter((rule) => rule.decision === decision);
  expect(of("deny")).toEqual([1, 2].map(() => ({ decision: "deny", flows: 1, packets: 3 })));
  expect(of("allow")).toEqual([1, 2].map(() => ({ decision: "allow", flows: 1, packets: 3 })));

  // What the host at one port says to all is for that at the other too, though this host may not hear it.
  const before = (await two.link("eth0")).received.packets;
  await frames.send([frame(BROADCAST, DENIED, "ff:ff:ff:ff:ff:ff")]);
  while (flowTo(BROADCAST, DENIED)?.verdict !== "dropped") await setTimeout(5);
  expect(flowTo(BROADCAST, DENIED)).toMatchObject({ packets: { sent: 1 } });
  expect((await two.link("eth0")).received.packets).toBe(before + 1);
  expect(deaf.heard()).toBe("");
});

test("what is denied at a device that is left out is told, what passes is not", async () => {
  await using net = await pair();
  const { left, right, server } = net;
  await using sockets = await openSockets(server);
  await using frames = await frameSender(left);
  const hearing = await sockets.listen("udp", right.ipv4, ALLOWED);
  using judged = judge(server, { excludeInterfaces: [right.name] });
  judged.apply(`{nodeSelector: {}, ingress: ${toAllowed}}`);
  const ends = { source: left.ipv4, destination: right.ipv4 };
  await frames.send(
    [DENIED, ALLOWED].map((destinationPort) =>
      ethernet(ipv4(ends, udp({ sourcePort: OWN, destinationPort }, Buffer.from("x"))), {
        source: macBytes(left.mac),
        destination: macBytes(right.mac),
      }),
    ),
  );
  await hearing.hears("x");
  expect(judged.flows()).toMatchObject([
    { verdict: "dropped", destination: { port: DENIED }, packets: { sent: 1, received: 0 } },
  ]);
  expect(judged.records().map(({ destination: { port } }) => port)).toEqual([DENIED]);
});

function macBytes(text: string): number[] {
  return text.split(":").map((byte) => Number.parseInt(byte, 16));
}
