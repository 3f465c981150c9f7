import { beforeEach, expect, test } from "vitest";
import { churn, frameSender, swallow } from "./frames.ts";
import { createNamespace } from "./namespace.ts";
import { requireKernel } from "./requirements.ts";
import { connect } from "./topology.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables"));

test("every frame of a churn arrives, and a swallowing device shows none of them to the stack", async () => {
  await using client = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(client, host, { offloads: false });
  await swallow(host, to.name);
  const before = (await host.link(to.name)).received;
  await using generator = await churn(from, to, { flows: 2000, flowsPerSecond: 10_000 });
  const { flows, packets, bytes } = await generator.result;
  // TCP of six packets and UDP of two, by turns.
  expect([flows, packets]).toEqual([2000, 8000]);
  const { received } = await host.link(to.name);
  expect(received.packets - before.packets).toBe(packets);
  expect(received.bytes - before.bytes).toBe(bytes + 14 * packets);
  expect(received.dropped).toBe(before.dropped);
  expect(await host.exec(["cat", "/proc/net/snmp"])).toMatch(/^Ip: 2 64 0 /m);
});

test("frames arrive as they were given; a device that is gone is said", async () => {
  await using client = await createNamespace();
  await using host = await createNamespace();
  const [from, to] = await connect(client, host, { offloads: false });
  await using frames = await frameSender(from);
  const before = (await host.link(to.name)).received;
  // Neither IP nor anything else.
  const frame = new Uint8Array(1000).fill(0xa5);
  await frames.send(Array.from({ length: 700 }, () => frame));
  const { received } = await host.link(to.name);
  expect(received.packets - before.packets).toBe(700);
  expect(received.bytes - before.bytes).toBe(700_000);
  await host.exec(["ip", "link", "delete", to.name]);
  await expect(frames.send([frame])).rejects.toThrow(/sendmmsg/);
});
