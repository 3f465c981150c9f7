/** Packets that are made to get past a policy, or to turn it against the connections that it allows. */
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { policyCountsLayout } from "../../generated/layout.ts";
import { mapAccess } from "../../kernel/bpf.ts";
import { possibleCpus } from "../../kernel/cpus.ts";
import {
  ethernet,
  fragmentHeader,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  tcp,
  udp,
} from "../../testing/frames.ts";
import { type JudgingKernel, judgingHost } from "../testing/judging-host.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;
const OWN_PORT = 40_000;
const ASKED = 7100;
const node = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;
const stranger = { 4: "203.0.113.9", 6: "2001:db8:7::9" } as const;
/** This host may ask there, and nobody here. */
const asking = `{nodeSelector: {}, ingress: [{}], egress: [{toPorts: [{ports: [{port: "${ASKED}"}]}]}]}`;

/** Of the connection that this host opens. */
function segment(version: 4 | 6, direction: "ingress" | "egress", flags: number): Uint8Array {
  const isOut = direction === "egress";
  const [own, other] = [node[version], stranger[version]];
  const ends = isOut ? { source: own, destination: other } : { source: other, destination: own };
  const ports = isOut
    ? { sourcePort: OWN_PORT, destinationPort: ASKED }
    : { sourcePort: ASKED, destinationPort: OWN_PORT };
  return ethernet((version === 4 ? ipv4 : ipv6)(ends, tcp({ ...ports, flags })));
}

function passes(
  kernel: JudgingKernel,
  version: 4 | 6,
  direction: "ingress" | "egress",
  flags: number,
): boolean {
  return !kernel.judge(direction, segment(version, direction, flags)).isDropped;
}

test.each([4, 6] as const)(
  "an end and a beginning from the other side do not end a connection over IPv%d",
  async (version) => {
    await using host = await judgingHost();
    host.run((kernel) => {
      kernel.apply(asking);
      expect(passes(kernel, version, "egress", SYN)).toBe(true);
      expect(passes(kernel, version, "ingress", SYN | ACK)).toBe(true);
      expect(passes(kernel, version, "ingress", RST)).toBe(true);
      expect(passes(kernel, version, "ingress", SYN)).toBe(false);
      for (const direction of ["ingress", "egress", "ingress"] as const)
        expect(passes(kernel, version, direction, ACK)).toBe(true);
    });
  },
);

// The kernel takes tags off without end.
test("a frame that is denied passes with no number of tags", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    kernel.apply("{nodeSelector: {}, ingress: [{}]}");
    for (const version of [4, 6] as const) {
      const ends = { source: stranger[version], destination: node[version] };
      const packet = (version === 4 ? ipv4 : ipv6)(ends, udp({ sourcePort: 5000, destinationPort: 53 }));
      for (let tags = 0; tags <= 8; tags++)
        for (const tpid of [0x8100, 0x88a8]) {
          const vlans = Array.from({ length: tags }, () => ({ id: 0, tpid }));
          expect([tags, tpid, kernel.judge("ingress", ethernet(packet, { vlans })).isDropped]).toEqual([
            tags,
            tpid,
            true,
          ]);
        }
    }
  });
});

test.each([4, 6] as const)(
  "a fragment over IPv%d too short for TCP's flags passes nowhere",
  async (version) => {
    await using host = await judgingHost();
    host.run((kernel) => {
      kernel.apply(asking);
      expect(passes(kernel, version, "egress", SYN)).toBe(true);
      expect(passes(kernel, version, "ingress", SYN | ACK)).toBe(true);
      // Of a generation in which the connection was not judged yet.
      kernel.apply(asking);
      const ends = { source: stranger[version], destination: node[version] };
      const upper = tcp({ sourcePort: ASKED, destinationPort: OWN_PORT, flags: SYN });
      const [tiny] = (version === 4 ? ipv4Fragments : ipv6Fragments)({ ...ends, id: 7 }, upper, 8);
      expect(kernel.judge("ingress", ethernet(tiny as Uint8Array)).isDropped).toBe(true);
      expect(passes(kernel, version, "ingress", ACK)).toBe(true);
    });
  },
);

test("that a fragment was too big is told to who sent it", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    kernel.apply('{nodeSelector: {}, ingress: [{}], egress: [{toPorts: [{ports: [{port: "53"}]}]}]}');
    const ends = { source: node[6], destination: stranger[6] };
    const question = udp({ sourcePort: OWN_PORT, destinationPort: 53 }, new Uint8Array(3000));
    const [first] = ipv6Fragments({ ...ends, id: 9 }, question, 1400) as [Uint8Array];
    expect(kernel.judge("egress", ethernet(first)).isDropped).toBe(false);
    const tooBig = (quoted: Uint8Array): boolean => {
      const error = icmpv6({ type: 2 }, quoted.slice(0, 200));
      const back = { source: "2001:db8:5::1", destination: node[6] };
      return kernel.judge("ingress", ethernet(ipv6(back, error))).isDropped;
    };
    expect(tooBig(first)).toBe(false);
    // One without ports, and one of another connection.
    const extensions = [fragmentHeader({ id: 9, offset: 175, more: true })];
    expect(tooBig(ipv6({ ...ends, extensions }, { ...question, bytes: question.bytes.slice(0, 64) }))).toBe(
      true,
    );
    const other = udp({ sourcePort: OWN_PORT + 1, destinationPort: 53 }, new Uint8Array(3000));
    expect(tooBig(ipv6Fragments({ ...ends, id: 9 }, other, 1400)[0] as Uint8Array)).toBe(true);
  });
});

test("verdicts that are interrupted keep their places, in whatever order they end", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    kernel.apply(asking);
    const { libc, maps } = kernel;
    const key = libc.allocate(4);
    const value = libc.allocate(policyCountsLayout.size * possibleCpus());
    const access = mapAccess(libc);
    const busy = (): bigint[] => {
      expect(access.lookup(maps.policy_counts, key, value)).toBe(0);
      return Array.from({ length: possibleCpus() }, (_, cpu) =>
        value.view.getBigUint64(cpu * policyCountsLayout.size + policyCountsLayout.busy, true),
      );
    };
    // Two are under way: those that began before and between them have ended.
    for (const [taken, isDropped] of [
      [0b1010n, false],
      [0b1111n, true],
    ] as const) {
      busy();
      for (let cpu = 0; cpu < possibleCpus(); cpu++)
        value.view.setBigUint64(cpu * policyCountsLayout.size + policyCountsLayout.busy, taken, true);
      expect(access.update(maps.policy_counts, key, value)).toBe(0);
      // Another connection each time, so that it is judged.
      const ends = { source: node[4], destination: stranger[4] };
      const frame = ethernet(
        ipv4(ends, tcp({ sourcePort: OWN_PORT + Number(taken), destinationPort: ASKED, flags: SYN })),
      );
      expect(kernel.judge("egress", frame).isDropped).toBe(isDropped);
      expect(new Set(busy())).toEqual(new Set([taken]));
    }
    for (const memory of [key, value]) memory.free();
  });
});
