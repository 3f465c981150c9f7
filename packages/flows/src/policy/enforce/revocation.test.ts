/** A connection that is allowed no more is cut at its next packet, and what it met until then stays the old rule's. */
import { beforeEach, expect, test } from "vitest";
import { requireKernel } from "../../../../../test/lab/index.ts";
import { ethernet, ipv4, ipv6, tcp } from "../../testing/frames.ts";
import type { Direction } from "../model.ts";
import { type JudgingKernel, judgingHost } from "../testing/judging-host.ts";

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

const SYN = 0x02;
const ACK = 0x10;
const node = { ipv4: "192.0.2.1", ipv6: "2001:db8::1" };
const stranger = { ipv4: "203.0.113.9", ipv6: "2001:db8:7::9" };

/** Both ways. */
function allowed(...ports: readonly number[]): string {
  const rules = `[{toPorts: [{ports: [${ports.map((port) => `{port: "${port}"}`).join(", ")}]}]}]`;
  return `{nodeSelector: {}, ingress: ${rules}, egress: ${rules}}`;
}

interface Connection {
  /** That the one who opened it sends in. */
  readonly direction: Direction;
  readonly version: 4 | 6;
  readonly port: number;
}

/** A segment from who opened it, or back. */
function segment({ direction, version, port }: Connection, flags: number, isAnswer = false): Uint8Array {
  const [host, peer] = version === 4 ? [node.ipv4, stranger.ipv4] : [node.ipv6, stranger.ipv6];
  const isFromPeer = (direction === "ingress") !== isAnswer;
  const ends = isFromPeer ? { source: peer, destination: host } : { source: host, destination: peer };
  const upper = tcp({
    ...(isAnswer
      ? { sourcePort: port, destinationPort: 40_000 }
      : { sourcePort: 40_000, destinationPort: port }),
    flags,
  });
  return ethernet(version === 4 ? ipv4(ends, upper) : ipv6(ends, upper));
}

function opposite(direction: Direction): Direction {
  return direction === "ingress" ? "egress" : "ingress";
}

/** What passes of a packet there and one back. */
function passes(kernel: JudgingKernel, connection: Connection): [boolean, boolean] {
  const there = kernel.judge(connection.direction, segment(connection, ACK));
  const back = kernel.judge(opposite(connection.direction), segment(connection, ACK, true));
  return [!there.isDropped, !back.isDropped];
}

test("a revoked connection is cut both ways, others go on", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    for (const direction of ["ingress", "egress"] as const)
      for (const version of [4, 6] as const) {
        const [revoked, kept] = [80, 81].map((port) => ({ direction, version, port })) as [
          Connection,
          Connection,
        ];
        kernel.apply(allowed(80, 81));
        for (const one of [revoked, kept]) {
          expect(kernel.judge(direction, segment(one, SYN)).isDropped).toBe(false);
          expect(passes(kernel, one)).toEqual([true, true]);
        }
        kernel.apply(allowed(81));
        expect(passes(kernel, revoked)).toEqual([false, false]);
        expect(passes(kernel, kept)).toEqual([true, true]);
        kernel.apply(allowed(80, 81));
        expect(passes(kernel, revoked)).toEqual([true, true]);
      }
  });
});

test("what was met under a verdict is told before it changes, and only then", async () => {
  await using host = await judgingHost();
  host.run((kernel) => {
    const connection: Connection = { direction: "ingress", version: 4, port: 80 };
    const send = () => kernel.judge("ingress", segment(connection, ACK));
    kernel.apply(allowed(81));
    expect(send().told).toMatchObject([{ event: "new", decision: "deny", packets: 1 }]);
    for (let more = 0; more < 2; more++) expect(send()).toEqual({ isDropped: true, told: [] });
    kernel.apply(allowed(80));
    expect(send()).toMatchObject({
      isDropped: false,
      told: [{ event: "judged", decision: "deny", packets: 3 }],
    });
    // Another generation, the same rule.
    kernel.apply(allowed(80));
    expect(send()).toEqual({ isDropped: false, told: [] });
    kernel.swap(undefined);
    expect(send().told).toMatchObject([{ event: "judged", decision: "allow", packets: 5 }]);
    expect(send().told).toEqual([]);
  });
});
