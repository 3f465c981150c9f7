/** A device that goes away under load: what it carried stays right, nothing is invented, the others go on. */
import { setTimeout as sleep } from "node:timers/promises";
import { beforeEach, expect, test } from "vitest";
import type { FlowList } from "../packages/flows/src/flow.ts";
import { ethernet, ipv4, udp } from "../packages/flows/src/testing/frames.ts";
import {
  churn,
  connect,
  createNamespace,
  frameSender,
  requireKernel,
  startAgent,
  swallow,
} from "./lab/index.ts";

beforeEach((context) => requireKernel(context, "netns", "nftables", "bpf", "btf"));

/** Fewer than the most of one answer. */
const FLOWS = 3000;
const AT_ONCE = 50;

/** One datagram from a port of its own. */
const datagram = (index: number): Uint8Array =>
  ethernet(
    ipv4(
      { source: "198.51.100.1", destination: "203.0.113.1" },
      udp({ sourcePort: 10_000 + index, destinationPort: 9000 }, new Uint8Array(20)),
    ),
  );

test("a device removed under load leaves right counts behind, and can come back", async () => {
  await using client = await createNamespace();
  await using host = await createNamespace();
  const [stays, received] = await connect(client, host, { offloads: false });
  const second = () => connect(client, host, { offloads: false, subnet: 2, names: ["eth1", "eth1"] });
  const [goes] = await second();
  for (const device of ["eth0", "eth1"]) await swallow(host, device);
  await using agent = await startAgent({ places: host });
  await agent.observes(3);

  await using generator = await churn(stays, received, { flows: FLOWS, flowsPerSecond: FLOWS / 2 });
  const frames = await frameSender(goes);
  let isGone = false;
  let handed = 0;
  const load = (async () => {
    try {
      for (; !isGone; handed += AT_ONCE)
        await frames.send(Array.from({ length: AT_ONCE }, (_, index) => datagram(handed + index)));
    } catch {
      // Its device is gone; of the last batch some have left.
      handed += AT_ONCE;
    }
  })();
  while (handed < 20 * AT_ONCE) await sleep(10);
  // All of these have left, and so have come: a veth hands each over at once.
  const arrived = handed;
  await host.exec(["ip", "link", "delete", "eth1"]);
  isGone = true;
  await load;
  await agent.observes(2);
  const sent = await generator.result;

  const removed = async () => (await agent.get<FlowList>("/api/v1/flows?ip=198.51.100.1&limit=10000")).flows;
  const stayed = async (): Promise<number> => {
    const { flows } = await agent.get<FlowList>("/api/v1/flows?ip=192.0.2.0/24&limit=10000");
    return flows.reduce((sum, { packets }) => sum + packets.sent + packets.received, 0);
  };
  while ((await stayed()) < sent.packets) await sleep(100);
  expect(await stayed()).toBe(sent.packets);
  const flows = await removed();
  expect(flows.length).toBeGreaterThanOrEqual(arrived);
  expect(flows.length).toBeLessThanOrEqual(handed);
  for (const flow of flows) {
    expect(flow).toMatchObject({ interface: "eth1", packets: { sent: 1, received: 0 }, bytes: { sent: 48 } });
    expect(flow.source.port).toBeLessThan(10_000 + handed);
  }
  expect(new Set(flows.map(({ source }) => source.port)).size).toBe(flows.length);

  const [again] = await second();
  await agent.observes(3);
  await using more = await frameSender(again);
  await more.send([datagram(40_000)]);
  while ((await removed()).length === flows.length) await sleep(50);
  expect((await removed()).length).toBe(flows.length + 1);
});
