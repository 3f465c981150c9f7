import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Flow } from "../flow.ts";
import { flowSchema } from "../flow.ts";
import { nothingLearned } from "../learned.ts";
import { tcpFlag } from "../protocols.ts";
import {
  icmp,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  sctp,
  type TcpOptions,
  tcp,
  type Upper,
  udp,
} from "../testing/frames.ts";
import { type AccountOptions, accountFlows } from "./account.ts";
import { decodePacket, linkType, type Packet } from "./packet.ts";

const { FIN, SYN, RST, PSH, ACK } = tcpFlag;
const client = "10.0.0.1";
const server = "10.0.0.2";

interface Sent {
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

function flowsOf(sent: readonly Sent[], options: Partial<AccountOptions> = {}): Flow[] {
  const flows: Flow[] = [];
  const account = accountFlows({ ...options, onFlow: (flow) => flows.push(flow) });
  for (const { atMs, bytes } of sent) {
    const packet = decodePacket(linkType.RAW, bytes, bytes.length) as Packet;
    account.add(packet, BigInt(Math.round(atMs * 1000)) * 1000n, "eth0");
  }
  account.finish();
  for (const flow of flows) flowSchema.parse(flow);
  return flows;
}

function from(source: string, destination: string, upper: Upper, atMs = 0): Sent {
  const build = source.includes(":") ? ipv6 : ipv4;
  return { atMs, bytes: build({ source, destination }, upper) };
}

interface Segment extends Partial<TcpOptions> {
  readonly atMs?: number;
  readonly size?: number;
}

const up = ({ atMs = 0, size = 0, flags = ACK, ...rest }: Segment): Sent =>
  from(
    client,
    server,
    tcp({ sourcePort: 40_000, destinationPort: 443, flags, ...rest }, new Uint8Array(size)),
    atMs,
  );
const down = ({ atMs = 0, size = 0, flags = ACK, ...rest }: Segment): Sent =>
  from(
    server,
    client,
    tcp({ sourcePort: 443, destinationPort: 40_000, flags, ...rest }, new Uint8Array(size)),
    atMs,
  );

/** A connection of two payload bytes each way that closes in order, from `atMs` on. */
function connection(atMs = 0): Sent[] {
  return [
    up({ atMs, flags: SYN, sequence: 99 }),
    down({ atMs, flags: SYN | ACK, sequence: 199, acknowledgment: 100 }),
    up({ atMs, flags: PSH | ACK, sequence: 100, acknowledgment: 200, size: 2 }),
    down({ atMs, flags: PSH | ACK, sequence: 200, acknowledgment: 102, size: 2 }),
    up({ atMs, flags: FIN | ACK, sequence: 102, acknowledgment: 202 }),
    down({ atMs, flags: FIN | ACK, sequence: 202, acknowledgment: 103 }),
    up({ atMs: atMs + 7, flags: ACK, sequence: 103, acknowledgment: 203 }),
  ];
}

const opened = (flows: readonly Flow[]) => flows.map((flow) => `${flow.source.ip}:${flow.source.port}`);

describe("a TCP connection", () => {
  test("is one flow from SYN to the last acknowledgment", () => {
    expect(flowsOf(connection(1_767_225_600_000))).toEqual([
      {
        id: "1",
        state: "ended",
        start: "2026-01-01T00:00:00.000Z",
        end: "2026-01-01T00:00:00.007Z",
        source: { ip: client, port: 40_000, name: null },
        destination: { ip: server, port: 443, name: null },
        protocol: "tcp",
        icmp: null,
        direction: "ingress",
        place: "local",
        netns: 0,
        interface: "eth0",
        verdict: "forwarded",
        bytes: { sent: 162, received: 122 },
        packets: { sent: 4, received: 3 },
        tcpFlags: ["FIN", "SYN", "PSH", "ACK"],
        cookie: null,
        process: null,
        peerProcess: null,
        ...nothingLearned,
      },
    ]);
  });

  test.each<[string, Sent[], Flow["state"]]>([
    ["RST ends it", [up({ flags: SYN }), down({ flags: RST | ACK })], "ended"],
    ["one FIN acknowledged does not", connection().slice(0, 5), "active"],
    ["two FINs, the last unacknowledged, do not", connection().slice(0, 6), "active"],
    [
      "an acknowledgment below the FIN does not count",
      [...connection().slice(0, 6), up({ sequence: 103, acknowledgment: 202 })],
      "active",
    ],
    [
      "sequence numbers wrap",
      [
        up({ flags: FIN | ACK, sequence: 0xffffffff, acknowledgment: 5 }),
        down({ flags: FIN | ACK, sequence: 5, acknowledgment: 0 }),
        up({ flags: ACK, sequence: 0, acknowledgment: 6 }),
      ],
      "ended",
    ],
  ])("%s", (_, sent, state) => {
    expect(flowsOf(sent).map((flow) => flow.state)).toEqual([state]);
  });

  test("takes stragglers for 5 s after its end, then begins anew", () => {
    const end = 7;
    const late = (atMs: number) => up({ atMs, flags: ACK, sequence: 103 });
    expect(flowsOf([...connection(), late(end + 5000)])).toMatchObject([{ packets: { sent: 5 } }]);
    expect(flowsOf([...connection(), late(end + 5001)])).toMatchObject([
      { packets: { sent: 4 } },
      { packets: { sent: 1 } },
    ]);
    // Stragglers do not prolong it.
    expect(flowsOf([...connection(), late(end + 4000), late(end + 6000)])).toHaveLength(2);
    expect(flowsOf([...connection(), late(end + 11)], { lingerMs: 10 })).toHaveLength(2);
  });

  test("a new SYN after the end is a new flow at once, before the end it is a retransmission", () => {
    expect(flowsOf([...connection(), ...connection(10)])).toMatchObject([
      { id: "1", packets: { sent: 4 } },
      { id: "2", packets: { sent: 4 } },
    ]);
    expect(flowsOf([up({ flags: SYN }), ...connection(1000)])).toMatchObject([{ packets: { sent: 5 } }]);
  });

  test("stays open when idle", () => {
    expect(flowsOf([up({}), up({ atMs: 3_600_000 })])).toMatchObject([
      { state: "active", packets: { sent: 2 } },
    ]);
  });
});

describe("who opened it", () => {
  const udpFrom = (sourcePort: number, destinationPort: number) =>
    from(client, server, udp({ sourcePort, destinationPort }));
  test.each<[string, Sent, string]>([
    ["the sender of SYN, even from a server's port", up({ flags: SYN, sourcePort: 22 }), `${client}:22`],
    ["the receiver of SYN+ACK", down({ flags: SYN | ACK }), `${client}:40000`],
    ["in the middle, the client of a well-known port", down({ flags: ACK }), `${client}:40000`],
    ["in the middle, the sender if it is the client", up({ flags: ACK }), `${client}:40000`],
    ["in the middle, the first sender between two high ports", down({ sourcePort: 8080 }), `${server}:8080`],
    ["in the middle, the first sender between two low ports", udpFrom(123, 53), `${client}:123`],
    [
      "an SCTP server that is seen first",
      from(server, client, sctp({ sourcePort: 179, destinationPort: 5000 })),
      `${client}:5000`,
    ],
    ["a UDP client", udpFrom(40_000, 53), `${client}:40000`],
    ["a UDP server that is seen first", udpFrom(53, 40_000), `${server}:40000`],
    [
      "the first sender of other protocols",
      from(server, client, { protocol: 47, bytes: new Uint8Array(8) }),
      `${server}:0`,
    ],
    ["the sender of an echo request", from(client, server, icmp({ type: 8, id: 5 })), `${client}:0`],
    ["the receiver of an echo reply", from(server, client, icmp({ type: 0, id: 5 })), `${client}:0`],
    ["the sender of an ICMP error", from(server, client, icmp({ type: 3, code: 3 })), `${server}:0`],
    ["the receiver of an ICMPv6 echo reply", from("::2", "::1", icmpv6({ type: 129, id: 1 })), "::1:0"],
  ])("%s", (_, sent, source) => {
    expect(opened(flowsOf([sent]))).toEqual([source]);
  });
});

describe("ICMP", () => {
  test("echo request and reply of one id are one flow, another id is another", () => {
    expect(
      flowsOf([
        from(client, server, icmp({ type: 8, id: 1, sequence: 1 })),
        from(server, client, icmp({ type: 0, id: 1, sequence: 1 })),
        from(client, server, icmp({ type: 8, id: 2, sequence: 1 })),
      ]),
    ).toMatchObject([
      { protocol: "icmp", icmp: { type: 8, code: 0, id: 1 }, packets: { sent: 1, received: 1 } },
      { icmp: { type: 8, code: 0, id: 2 }, packets: { sent: 1, received: 0 } },
    ]);
  });

  test("other messages are flows by type and code, apart from an echo whose id equals them", () => {
    const sent = [
      icmp({ type: 3, code: 3 }),
      icmp({ type: 3, code: 1 }),
      icmp({ type: 3, code: 3 }),
      icmp({ type: 8, id: 0x0303 }),
    ];
    expect(
      flowsOf(sent.map((message) => from(server, client, message))).map((flow) => flow.packets.sent),
    ).toEqual([2, 1, 1]);
  });

  test("an echo to oneself has both sides", () => {
    const self = (type: number) => from("127.0.0.1", "127.0.0.1", icmp({ type, id: 1 }));
    expect(flowsOf([self(8), self(0)])).toMatchObject([
      { place: "loopback", packets: { sent: 1, received: 1 } },
    ]);
  });
});

describe("fragments", () => {
  const datagram = udp({ sourcePort: 40_000, destinationPort: 53 }, new Uint8Array(4000));
  const ids = { source: client, destination: server };
  const at0 = (bytes: Uint8Array): Sent => ({ atMs: 0, bytes });
  test.each<[string, Uint8Array[]]>([
    ["IPv4", ipv4Fragments({ ...ids, id: 7 }, datagram, 1480)],
    ["IPv6", ipv6Fragments({ source: "fd00::1", destination: "fd00::2", id: 7 }, datagram, 1448)],
    [
      "IPv6 with destination options inside",
      ipv6Fragments(
        { source: "fd00::1", destination: "fd00::2", id: 7 },
        { protocol: 60, bytes: Uint8Array.from([17, 0, 1, 4, 0, 0, 0, 0, ...datagram.bytes]) },
        1448,
      ),
    ],
  ])("%s: all belong to the flow of the first", (_, fragments) => {
    const bytes = fragments.reduce((sum, fragment) => sum + fragment.length, 0);
    expect(flowsOf(fragments.map(at0))).toMatchObject([
      {
        protocol: "udp",
        source: { port: 40_000 },
        destination: { port: 53 },
        packets: { sent: 3 },
        bytes: { sent: bytes },
      },
    ]);
  });

  test("one whose first was not seen has no ports", () => {
    const [, second] = ipv4Fragments({ ...ids, id: 7 }, datagram, 1480);
    expect(flowsOf([at0(second!)])).toMatchObject([{ protocol: "udp", source: { ip: client, port: 0 } }]);
  });

  test("fragments of an echo belong to it", () => {
    const echo = ipv4Fragments({ ...ids, id: 9 }, icmp({ type: 8, id: 3 }, new Uint8Array(3000)), 1480);
    expect(flowsOf(echo.map(at0))).toMatchObject([{ icmp: { type: 8, id: 3 }, packets: { sent: 3 } }]);
  });

  test("the last 4,096 datagrams are remembered", () => {
    const datagrams = Array.from({ length: 4097 }, (_, id) => ipv4Fragments({ ...ids, id }, datagram, 1480));
    const firsts = datagrams.map(([first]) => at0(first!));
    const rest = (id: number) => at0(datagrams[id]![1]!);
    expect(flowsOf([...firsts, rest(1)]).map((flow) => flow.packets.sent)).toEqual([4098]);
    expect(flowsOf([...firsts, rest(0)]).map((flow) => flow.packets.sent)).toEqual([4097, 1]);
  });
});

describe("bounds", () => {
  const ping = (sourcePort: number, atMs: number) =>
    from(client, server, udp({ sourcePort, destinationPort: 53 }), atMs);

  test("UDP idle for more than 60 s is a new flow", () => {
    expect(
      flowsOf([ping(9, 0), ping(9, 60_000), ping(9, 120_001)]).map((flow) => [flow.state, flow.packets.sent]),
    ).toEqual([
      ["ended", 2],
      ["active", 1],
    ]);
  });

  test("ends an idle flow while others go on", () => {
    const ended: string[] = [];
    const account = accountFlows({ onFlow: (flow) => ended.push(flow.id) });
    for (const { atMs, bytes } of [ping(2001, 0), up({ atMs: 1 }), ping(2002, 50_000), ping(2002, 61_000)])
      account.add(decodePacket(linkType.RAW, bytes, bytes.length) as Packet, BigInt(atMs) * 1_000_000n, "");
    expect(ended).toEqual(["1"]);
  });

  test("a full table ends the flow that was idle longest, and counts it", () => {
    const flows: Flow[] = [];
    const account = accountFlows({ onFlow: (flow) => flows.push(flow), openFlows: 3 });
    const add = ({ atMs, bytes }: Sent) =>
      account.add(decodePacket(linkType.RAW, bytes, bytes.length) as Packet, BigInt(atMs) * 1_000_000n, "");
    add(ping(2001, 1));
    add(up({ atMs: 2 }));
    add(ping(2003, 3));
    add(ping(2001, 4));
    add(ping(2004, 5));
    add(ping(2005, 6));
    expect(flows.map((flow) => flow.id)).toEqual(["2", "3"]);
    expect(account.evicted).toBe(2);
  });

  test("time that runs backwards neither ends flows nor reverses them", () => {
    expect(flowsOf([ping(9, 100_000), ping(9, 0), ping(9, 100_001)])).toMatchObject([
      { start: "1970-01-01T00:01:40.000Z", end: "1970-01-01T00:01:40.001Z", packets: { sent: 3 } },
    ]);
  });
});

test("nothing is lost or counted twice: flows sum up to the packets of their tuple, in any order and with any bounds", () => {
  const port = fc.integer({ min: 1, max: 4 });
  const host = fc.constantFrom("10.0.0.1", "10.0.0.2", "127.0.0.1");
  const sent = fc.record({
    source: host,
    destination: host,
    sourcePort: port,
    destinationPort: port,
    flags: fc.integer({ min: 0, max: 31 }),
    isTcp: fc.boolean(),
    size: fc.integer({ min: 0, max: 50 }),
    atMs: fc.integer({ min: 0, max: 300_000 }),
  });
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), (packets, openFlows) => {
      const expected = new Map<string, [number, number]>();
      const add = (protocol: string, ends: string[], count: number, bytes: number) => {
        const key = `${protocol} ${ends.sort().join(" ")}`;
        const [c, b] = expected.get(key) ?? [0, 0];
        expected.set(key, [c + count, b + bytes]);
      };
      const frames = packets.map(({ isTcp, flags, size, atMs, ...p }) => {
        const payload = new Uint8Array(size);
        const { sourcePort, destinationPort } = p;
        add(
          isTcp ? "tcp" : "udp",
          [`${p.source}:${sourcePort}`, `${p.destination}:${destinationPort}`],
          1,
          size + (isTcp ? 40 : 28),
        );
        return from(p.source, p.destination, isTcp ? tcp({ ...p, flags }, payload) : udp(p, payload), atMs);
      });
      const before = new Map(expected);
      expected.clear();
      for (const { protocol, source, destination, packets: counted, bytes } of flowsOf(frames, { openFlows }))
        add(
          protocol,
          [`${source.ip}:${source.port}`, `${destination.ip}:${destination.port}`],
          counted.sent + counted.received,
          bytes.sent + bytes.received,
        );
      expect(expected).toEqual(before);
    }),
  );
});
