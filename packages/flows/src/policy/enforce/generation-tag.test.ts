/** A verdict belongs to its flow: whoever gets the flow's element is judged for itself. */
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { flowLayout } from "../../generated/layout.ts";
import { openKernelFlows } from "../../kernel/flow-table.ts";
import { ethernet, ipv4, udp } from "../../testing/frames.ts";
import { judgingHost } from "../testing/judging-host.ts";

const ID = flowLayout.id / 4;
/** With the verdict behind it. */
const GENERATION = flowLayout.generation / 4;

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

test("a verdict that comes late into an element is not its next flow's", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    const flows = openKernelFlows(kernel.libc, kernel.maps, 1);
    flows.reach();
    const packetTo = (destinationPort: number): boolean => {
      const ends = { source: "203.0.113.9", destination: "192.0.2.1" };
      const frame = ethernet(ipv4(ends, udp({ sourcePort: 40_000, destinationPort })));
      return kernel.judge("ingress", frame).isDropped;
    };
    kernel.apply('{nodeSelector: {}, ingress: [{toPorts: [{ports: [{port: "53"}]}]}]}');
    expect(packetTo(53)).toBe(false);
    const { words } = flows;
    flows.reach();
    const verdict = words.slice(GENERATION, GENERATION + 2);
    const earlier = words[ID];
    expect(packetTo(54)).toBe(true);
    expect(words[ID]).not.toBe(earlier);
    // As by another CPU that was stopped while it kept the verdict of the flow before.
    words.set(verdict, GENERATION);
    expect(packetTo(54)).toBe(true);
    expect([...words.slice(GENERATION, GENERATION + 2)]).not.toEqual([...verdict]);
    flows.close();
  }, 1);
});
