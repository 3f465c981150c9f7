import { expect, test } from "vitest";
import type { Flow } from "../flow.ts";
import { pcap } from "../testing/captures.ts";
import { ethernet } from "../testing/frames.ts";
import { mixedTraffic } from "../testing/traffic.ts";
import { readCaptureBytes } from "./capture.ts";
import { replayFlows, replayTotals } from "./replay.ts";

async function replayed(
  packets: Parameters<typeof pcap>[0],
): Promise<{ flows: Flow[]; starts: number; notIp: number }> {
  const totals = replayTotals();
  const flows: Flow[] = [];
  let starts = 0;
  async function* bytes() {
    yield pcap(packets);
  }
  for await (const { change, flow } of replayFlows(readCaptureBytes(bytes()), totals))
    if (change === "start") starts++;
    else flows.push(flow);
  expect(totals.packets).toBe(packets.length);
  return { flows, starts, notIp: totals.notIp };
}

test("mixed traffic: every packet is in one flow, every TCP connection ends, every client is the source", async () => {
  const traffic = mixedTraffic(7, 300);
  const packets = traffic.map(({ packet, timestampNs, vlans }) => ({
    frame: ethernet(packet, { vlans, pad: true }),
    timestampNs,
  }));
  const arp = ethernet(new Uint8Array(46), { etherType: 0x0806 });
  const { flows, starts, notIp } = await replayed([...packets, { frame: arp, timestampNs: 0n }]);
  expect(notIp).toBe(1);
  expect(starts).toBe(flows.length);
  const sum = (of: (flow: Flow) => { sent: number; received: number }) =>
    flows.reduce((total, flow) => total + of(flow).sent + of(flow).received, 0);
  expect(sum((flow) => flow.packets)).toBe(traffic.length);
  expect(sum((flow) => flow.bytes)).toBe(traffic.reduce((total, { packet }) => total + packet.length, 0));

  const connections = flows.filter((flow) => flow.protocol === "tcp");
  expect(connections.length).toBeGreaterThan(50);
  expect(connections.filter((flow) => flow.state !== "ended")).toEqual([]);
  expect(connections.filter((flow) => flow.source.port < 32_768)).toEqual([]);
  expect(
    flows.filter((flow) => flow.icmp?.type === 8 && flow.packets.sent !== flow.packets.received),
  ).toEqual([]);
});
