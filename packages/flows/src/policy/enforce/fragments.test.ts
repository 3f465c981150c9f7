/** Fragments: judged by their datagram's ports where the first one told them, else by what holds for every port. */
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { ethernet, ipv4Fragments, ipv6Fragments, udp } from "../../testing/frames.ts";
import { type JudgingKernel, judgingHost } from "../testing/judging-host.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

type Fragments = readonly [first: Uint8Array, middle: Uint8Array, last: Uint8Array];

/** A datagram from a stranger to the node. */
function datagram(version: 4 | 6, id: number, destinationPort: number): Fragments {
  const upper = udp({ sourcePort: 40_000, destinationPort }, new Uint8Array(3000));
  const all =
    version === 4
      ? ipv4Fragments({ source: "203.0.113.9", destination: "192.0.2.1", id }, upper, 1200)
      : ipv6Fragments({ source: "2001:db8:7::9", destination: "2001:db8::1", id }, upper, 1200);
  return all.map((packet) => ethernet(packet)) as unknown as Fragments;
}

test.each([4, 6] as const)("over IPv%d", async (version) => {
  await using host = await judgingHost();
  host.run((kernel) => {
    const passing = (...frames: readonly Uint8Array[]): boolean[] => passes(kernel, frames);
    kernel.apply('{nodeSelector: {}, ingress: [{toPorts: [{ports: [{port: "53"}]}]}]}');
    expect(passing(...datagram(version, 1, 53))).toEqual([true, true, true]);
    expect(passing(...datagram(version, 2, 54))).toEqual([false, false, false]);
    // No fragment of theirs told the ports: those of a datagram with another identification say nothing.
    const [first, middle, last] = datagram(version, 3, 53);
    expect(passing(last, middle)).toEqual([false, false]);
    expect(passing(first, middle, last)).toEqual([true, true, true]);

    kernel.apply(`{nodeSelector: {}, ingress: [{fromEntities: [world]}],
  ingressDeny: [{toPorts: [{ports: [{port: "54"}]}]}]}`);
    const [forbidden, ...rest] = datagram(version, 4, 54);
    expect(passing(rest[1])).toEqual([true]);
    expect(passing(forbidden, ...rest)).toEqual([false, false, false]);
    expect(passing(...datagram(version, 5, 55))).toEqual([true, true, true]);

    kernel.apply("{nodeSelector: {}, ingress: [{}]}");
    expect(passing(...datagram(version, 5, 55).toReversed())).toEqual([false, false, false]);
  });
});

function passes(kernel: JudgingKernel, frames: readonly Uint8Array[]): boolean[] {
  return frames.map((frame) => !kernel.judge("ingress", frame).isDropped);
}
