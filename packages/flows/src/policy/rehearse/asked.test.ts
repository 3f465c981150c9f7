import { expect, test } from "vitest";
import type { PastFlow } from "../../history/replay.ts";
import { tcpFlag } from "../../protocols.ts";
import { places } from "../../recording/record.ts";
import { testProcess } from "../../testing/flows.ts";
import { verdicts } from "../../verdicts.ts";
import { type Asked, ask, askReceiver, cameToSomething, type Unasked } from "./asked.ts";

const { SYN, ACK, FIN, PSH, RST } = tcpFlag;
const local = places.indexOf("local");
const here = { netns: 7, judgeLoopback: false };

function past(given: Partial<PastFlow>): PastFlow {
  const numbers = { run: 1, id: 1, netns: 7, startMs: 0, endMs: 0, source: 10, destination: 20, icmp: 0 };
  const ends = { sourcePort: 50_000, destinationPort: 443, sourceName: "A.test", destinationName: "B.test" };
  const seen = { sourceFlags: 0, destinationFlags: 0, sentPackets: 1, receivedPackets: 0 };
  const kind = { place: local, verdict: 0, isEgress: true, protocol: 6, process: null, peerProcess: null };
  return { ...numbers, ...ends, ...seen, ...kind, ...given };
}

test.each<[string, Partial<PastFlow>, boolean]>([
  ["a SYN that nothing answers", { sourceFlags: SYN, sentPackets: 5 }, false],
  ["a refused connection", { sourceFlags: SYN, destinationFlags: RST | ACK }, false],
  ["an accepted one", { sourceFlags: SYN | ACK, destinationFlags: SYN | ACK }, true],
  ["one that is reset after it was accepted", { sourceFlags: SYN, destinationFlags: SYN | ACK | RST }, true],
  ["one that began before it was seen", { sourceFlags: ACK | PSH, destinationFlags: ACK }, true],
  ["its end alone", { sourceFlags: ACK, destinationFlags: FIN | ACK }, true],
  ["answers that took another way", { sourceFlags: SYN | ACK, sentPackets: 3 }, true],
  ["an ACK scan", { sourceFlags: ACK, sentPackets: 1 }, false],
  ["a datagram without an answer", { protocol: 17, sentPackets: 1 }, false],
  ["datagrams one way", { protocol: 17, sentPackets: 2 }, true],
  ["a datagram and its answer", { protocol: 17, sentPackets: 1, receivedPackets: 1 }, true],
])("%s: came to something %#", (_, given, wanted) => {
  expect(cameToSomething(past(given))).toBe(wanted);
});

test.each<[string, Partial<PastFlow>, Unasked]>([
  ["on loopback", { place: places.indexOf("loopback") }, "loopback"],
  ["forwarded", { place: places.indexOf("forwarded") }, "forwarded"],
  ["of another namespace", { netns: 8 }, "otherNamespaces"],
  ["dropped then", { verdict: verdicts.indexOf("dropped") }, "dropped"],
  ["a neighbour solicitation", { protocol: 58, icmp: 135 << 8 }, "vital"],
  ["a membership report", { protocol: 58, icmp: 143 << 8 }, "vital"],
  ["DHCP", { protocol: 17, sourcePort: 68, destinationPort: 67 }, "vital"],
  ["DHCPv6", { protocol: 17, sourcePort: 546, destinationPort: 547 }, "vital"],
  ["unreachable", { protocol: 1, icmp: 3 << 8 }, "icmpErrors"],
  ["too big", { protocol: 58, icmp: 2 << 8 }, "icmpErrors"],
])("no policy is asked of what was %s", (_, given, why) => {
  expect(ask(past(given), here, {} as Asked)).toBe(why);
});

test.each<[string, Partial<PastFlow>, Partial<Asked>]>([
  ["what this host opened", {}, { isEgress: true, peer: 20, peerName: "b.test", port: 443 }],
  ["what it was asked", { isEgress: false }, { isEgress: false, peer: 10, peerName: "a.test", port: 443 }],
  ["an echo", { protocol: 1, icmp: 8 << 8, sourcePort: 99, destinationPort: 99 }, { port: 8 }],
  ["a fragment", { sourcePort: 0, destinationPort: 0 }, { port: undefined }],
  ["without ports", { protocol: 47, sourcePort: 0, destinationPort: 0 }, { protocol: 47, port: 0 }],
  ["between two clients' ports of DHCP", { protocol: 17, sourcePort: 68, destinationPort: 68 }, { port: 68 }],
])("%s", (_, given, wanted) => {
  const asked = {} as Asked;
  expect(ask(past(given), here, asked)).toBe(undefined);
  expect(asked).toMatchObject(wanted);
  expect(ask(past({ ...given, netns: 8 }), { ...here, netns: undefined }, asked)).toBe(undefined);
});

test.each([true, false])(
  "on loopback who opens is asked, then who is asked, by whichever packet came first: %s",
  (isEgress) => {
    const [opener, receiver] = [testProcess({ comm: "curl" }), testProcess({ comm: "nginx" })];
    const [process, peerProcess] = isEgress ? [opener, receiver] : [receiver, opener];
    const flow = past({ place: places.indexOf("loopback"), isEgress, process, peerProcess });
    const judging = { ...here, judgeLoopback: true };
    const [opening, received] = [{} as Asked, {} as Asked];
    expect(ask(flow, judging, opening)).toBe(undefined);
    const both = { isLoopback: true, protocol: 6, port: 443 };
    expect(opening).toEqual({ ...both, isEgress: true, peer: 20, peerName: "b.test", process: opener });
    askReceiver(flow, opening, received);
    expect(received).toEqual({ ...both, isEgress: false, peer: 10, peerName: "a.test", process: receiver });
    expect(ask({ ...flow, netns: 8 }, judging, opening)).toBe("otherNamespaces");
  },
);
