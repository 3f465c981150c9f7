/** What a network needs to work at all passes under a policy that denies everything; and fragments of what may pass. */
import { setTimeout } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { ethernet, ipv4Fragments, ipv6Fragments, udp } from "../packages/flows/src/testing/frames.ts";
import type { Interface } from "./lab/index.ts";
import { type Guarded, toPorts } from "./policy/guarded.ts";
import { guardedPair, sharedHosts } from "./policy/hosts.ts";

const denyAll = "{endpointSelector: {}, ingress: [{}], egress: [{}]}";

const hosts = sharedHosts(guardedPair);
let port = 7000;

/** The hosts forget each other's hardware address and must ask again. */
async function strangers(one: Interface, other: Interface): Promise<void> {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const)
    for (const ip of [to.ipv4, to.ipv6])
      await from.namespace.exec(["ip", "neigh", "del", ip, "dev", from.name]).catch(() => {});
}

async function resolves(from: Interface, ip: string, mac: string): Promise<void> {
  for (;;) {
    const shown = await from.namespace.exec(["ip", "neigh", "show", ip, "dev", from.name]);
    if (shown.includes(mac)) return;
    await setTimeout(20);
  }
}

describe.each(["ipv4", "ipv6"] as const)("over %s", (version) => {
  test("hosts find each other's hardware address, whoever asks", async () => {
    const { net, edge, near, guarded } = hosts();
    const { left, right } = net;
    await guarded.apply(denyAll);
    await strangers(left, right);
    const asked = await near.dial("udp", { host: right[version], port: 9 });
    asked.say("denied");
    await resolves(left, right[version], right.mac);
    await strangers(left, right);
    const asking = await edge.dial("udp", { host: left[version], port: 9 });
    asking.say("denied");
    await resolves(right, left[version], left.mac);
    await guarded.decides("spec.ingress", "deny", 0);
    await guarded.decides("spec.egress", "deny", 0);
  });

  test("DHCP passes in both roles, other ports beside it do not", async () => {
    const { net, edge, near, guarded } = hosts();
    const [here, there] = [net.right[version], net.left[version]];
    const [client, server, none] = version === "ipv4" ? [68, 67, 69] : [546, 547, 548];
    await guarded.apply(denyAll, { management: false });
    for (const [asker, answerer, host] of [
      [edge, near, there],
      [near, edge, here],
    ] as const) {
      const waiting = await answerer.listen("udp", host, server);
      const closed = await answerer.listen("udp", host, none);
      const denied = await deniedPackets(guarded);
      const wrong = await asker.dial("udp", { host, port: none }, client + 1000);
      wrong.say("discover");
      const right = await asker.dial("udp", { host, port: server }, client);
      right.say("discover");
      await waiting.hears("discover");
      waiting.say("offer");
      await right.hears("offer");
      while ((await deniedPackets(guarded)) <= denied) await setTimeout(50);
      expect(closed.heard()).toBe("");
      for (const each of [waiting, closed, wrong, right]) each.close();
    }
  });

  test("fragments pass with the first one's ports, in both directions", async () => {
    const { net, edge, near, guarded } = hosts();
    const [here, there] = [net.right[version], net.left[version]];
    const [allowed, forbidden] = [port++, port++];
    await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(allowed)}, egress: ${toPorts(allowed)}}`);
    for (const [asker, answerer, host] of [
      [near, edge, here],
      [edge, near, there],
    ] as const) {
      const closed = await answerer.listen("udp", host, forbidden);
      const open = await answerer.listen("udp", host, allowed);
      const denied = await deniedPackets(guarded);
      (await asker.dial("udp", { host, port: forbidden })).say("x".repeat(4000));
      const client = await asker.dial("udp", { host, port: allowed });
      client.say(`${"x".repeat(4000)} end`);
      await open.hears(" end");
      open.say(`${"y".repeat(4000)} answer`);
      await client.hears(" answer");
      // Three fragments; the sender's stack gives up after the first.
      const fragments = asker === near ? 3 : 1;
      while ((await deniedPackets(guarded)) < denied + fragments) await setTimeout(50);
      expect(closed.heard()).toBe("");
    }
  });

  test("fragments that come before the first one pass only by rules for every port", async () => {
    const { net, edge, guarded, frames } = hosts();
    const { left, right } = net;
    const [wide, narrow] = [port++, port++];
    const open = await edge.listen("udp", right[version], wide);
    const closed = await edge.listen("udp", right[version], narrow);
    await guarded.apply(`{endpointSelector: {}, ingress: ${toPorts(narrow)}}`);
    const denied = await guarded.decided("spec.ingress", "deny");
    await frames.send(backwards(version, left, right, narrow, 1));
    await guarded.decides("spec.ingress", "deny", denied + 1);
    await guarded.apply("{endpointSelector: {}, ingress: [{fromEntities: [world]}]}");
    await frames.send(backwards(version, left, right, wide, 2));
    await open.hears("end");
    expect(closed.heard()).toBe("");
  });
});

async function deniedPackets({ decided }: Guarded): Promise<number> {
  return (await decided("spec.ingress", "deny")) + (await decided("spec.egress", "deny"));
}

/** Three fragments of a datagram, the last one first. */
function backwards(
  version: "ipv4" | "ipv6",
  from: Interface,
  to: Interface,
  port: number,
  id: number,
): Uint8Array[] {
  const upper = udp(
    { sourcePort: 40_000 + id, destinationPort: port },
    Buffer.from(`${"x".repeat(3000)} end`),
  );
  const ends = { source: from[version], destination: to[version], id };
  const packets = version === "ipv4" ? ipv4Fragments(ends, upper, 1400) : ipv6Fragments(ends, upper, 1400);
  const mac = (text: string): number[] => text.split(":").map((byte) => Number.parseInt(byte, 16));
  return packets
    .toReversed()
    .map((packet) => ethernet(packet, { source: mac(from.mac), destination: mac(to.mac) }));
}
