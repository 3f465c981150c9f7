import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../address.ts";
import { protocolNumbers, tcpFlag } from "../protocols.ts";
import {
  authenticationHeader,
  be16,
  bytesOf,
  ethernet,
  extension,
  fragmentHeader,
  icmp,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  sctp,
  tcp,
  udp,
} from "../testing/frames.ts";
import { mixedTraffic } from "../testing/traffic.ts";
import { decodePacket, linkType, type Packet } from "./packet.ts";

const v4 = { source: "10.0.0.1", destination: "10.0.0.2" };
const v6 = { source: "2001:db8::1", destination: "2001:db8::2" };
const ports = { sourcePort: 40_000, destinationPort: 443 };
const syn = tcp({ ...ports, flags: tcpFlag.SYN, sequence: 0xdeadbeef });

function decode(frame: Uint8Array, type: number = linkType.ETHERNET, original = frame.length) {
  return decodePacket(type, frame, original);
}

/** The fields that a case names, of a packet that must be one. */
function facts(packet: Packet | undefined): Record<string, unknown> {
  if (packet === undefined) return { packet: "none" };
  const { source, destination, tcp: header, ...rest } = packet;
  return {
    ...rest,
    source: formatAddress(source),
    destination: formatAddress(destination),
    flags: header?.flags,
  };
}

describe("addresses, ports and bytes", () => {
  const payload = new Uint8Array(100);
  test.each<[string, Uint8Array, Record<string, unknown>]>([
    ["IPv4 TCP", ipv4(v4, syn), { ...v4, ...ports, protocol: 6, bytes: 40, flags: 2 }],
    ["IPv6 TCP", ipv6(v6, syn), { ...v6, ...ports, protocol: 6, bytes: 60, flags: 2 }],
    ["IPv4 UDP", ipv4(v4, udp(ports, payload)), { ...ports, protocol: 17, bytes: 128 }],
    ["IPv6 UDP", ipv6(v6, udp(ports, payload)), { ...ports, protocol: 17, bytes: 148 }],
    ["SCTP", ipv4(v4, sctp(ports)), { ...ports, protocol: 132, bytes: 32 }],
    ["UDP-Lite", ipv4(v4, { ...udp(ports), protocol: 136 }), { ...ports, protocol: 136, bytes: 28 }],
    ["IPv4 options", ipv4({ ...v4, options: new Uint8Array(40) }, syn), { ...ports, bytes: 80, flags: 2 }],
    [
      "GRE has no ports",
      ipv4(v4, { protocol: 47, bytes: payload }),
      { sourcePort: 0, protocol: 47, bytes: 120 },
    ],
    ["AH of IPv4 is a protocol", ipv4(v4, { protocol: 51, bytes: payload }), { sourcePort: 0, protocol: 51 }],
    ["no next header", ipv6(v6, { protocol: 59, bytes: new Uint8Array(0) }), { protocol: 59, bytes: 40 }],
  ])("%s", (_, packet, expected) => {
    expect(facts(decode(ethernet(packet, { pad: true })))).toMatchObject(expected);
    expect(facts(decode(packet, linkType.RAW))).toMatchObject(expected);
  });

  test("TCP's numbers and lengths", () => {
    const segment = tcp(
      { ...ports, flags: 0x18, sequence: 0xfffffff0, acknowledgment: 7, options: new Uint8Array(12) },
      payload,
    );
    expect(decode(ethernet(ipv4(v4, segment)))?.tcp).toEqual({
      flags: 0x18,
      sequence: 0xfffffff0,
      acknowledgment: 7,
      headerBytes: 32,
      payloadBytes: 100,
    });
  });
});

test("addresses are copies: a flow must not keep the chunk of its first packet in memory", () => {
  for (const packet of [ipv4(v4, syn), ipv6(v6, syn)]) {
    const chunk = Buffer.concat([new Uint8Array(65_536), packet]).subarray(65_536);
    const decoded = decodePacket(linkType.RAW, chunk, chunk.length);
    expect([decoded?.source.buffer.byteLength, decoded?.destination.buffer.byteLength]).toEqual([16, 16]);
  }
});

describe("link types", () => {
  const four = ipv4(v4, syn);
  const six = ipv6(v6, syn);
  const sll2 = (type: number) => bytesOf(be16(type), new Uint8Array(18));
  test.each<[string, number, Uint8Array]>([
    ["EN10MB", linkType.ETHERNET, ethernet(four)],
    ["RAW v4", linkType.RAW, four],
    ["RAW v6", linkType.RAW, six],
    ["DLT_RAW 12", 12, six],
    ["DLT_RAW 14", 14, four],
    ["IPV4", linkType.IPV4, four],
    ["IPV6", linkType.IPV6, six],
    ["NULL little-endian v4", linkType.NULL, bytesOf([2, 0, 0, 0], four)],
    ["NULL little-endian Darwin v6", linkType.NULL, bytesOf([30, 0, 0, 0], six)],
    ["NULL big-endian v4", linkType.NULL, bytesOf([0, 0, 0, 2], four)],
    ["LOOP OpenBSD v6", linkType.LOOP, bytesOf([0, 0, 0, 24], six)],
    ["LINUX_SLL", linkType.LINUX_SLL, bytesOf(new Uint8Array(14), be16(0x0800), four)],
    [
      "LINUX_SLL tagged",
      linkType.LINUX_SLL,
      bytesOf(new Uint8Array(14), be16(0x8100), be16(9), be16(0x86dd), six),
    ],
    ["LINUX_SLL2", linkType.LINUX_SLL2, bytesOf(sll2(0x86dd), six)],
  ])("%s", (_, type, frame) => {
    expect(facts(decode(frame, type))).toMatchObject({ ...ports, flags: 2 });
  });

  test.each<[string, Uint8Array, number[]]>([
    ["802.1Q", ethernet(four, { vlans: [{ id: 100 }] }), [100]],
    ["802.1ad", ethernet(six, { vlans: [{ id: 7, tpid: 0x88a8 }, { id: 4095 }] }), [7, 4095]],
    ["four tags", ethernet(four, { vlans: [1, 2, 3, 4].map((id) => ({ id })) }), [1, 2, 3, 4]],
  ])("VLAN tags: %s", (_, frame, vlans) => {
    expect(facts(decode(frame))).toMatchObject({ ...ports, vlans, flags: 2 });
  });
});

describe("ICMP", () => {
  test.each<[string, Uint8Array, unknown]>([
    ["echo request", ipv4(v4, icmp({ type: 8, id: 77 })), { type: 8, code: 0, id: 77 }],
    ["echo reply", ipv4(v4, icmp({ type: 0, id: 77 })), { type: 0, code: 0, id: 77 }],
    ["port unreachable", ipv4(v4, icmp({ type: 3, code: 3, id: 9 })), { type: 3, code: 3, id: 0 }],
    ["ICMPv6 echo", ipv6(v6, icmpv6({ type: 128, id: 65535 })), { type: 128, code: 0, id: 65535 }],
    ["ICMPv6 echo reply", ipv6(v6, icmpv6({ type: 129, id: 1 })), { type: 129, code: 0, id: 1 }],
    ["ICMPv6 type 8 is no echo", ipv6(v6, icmpv6({ type: 8, id: 1 })), { type: 8, code: 0, id: 0 }],
    [
      "MLD behind hop-by-hop",
      ipv6({ ...v6, extensions: [extension(0)] }, icmpv6({ type: 143 })),
      { type: 143, code: 0, id: 0 },
    ],
  ])("%s", (_, packet, expected) => {
    const decoded = decode(ethernet(packet));
    expect(decoded?.icmp).toEqual(expected);
    expect(decoded).toMatchObject({ sourcePort: 0, destinationPort: 0, tcp: null });
  });
});

describe("IPv6 extension headers", () => {
  const all = [extension(0), extension(60), extension(43, 2), authenticationHeader(), extension(60, 1)];
  test.each([
    ["each kind", all],
    ["eight", Array.from({ length: 8 }, () => extension(60))],
    ["an atomic fragment", [fragmentHeader({ id: 1, offset: 0, more: false })]],
  ])("%s", (_, extensions) => {
    const packet = ipv6({ ...v6, extensions }, syn);
    expect(facts(decode(packet, linkType.RAW))).toMatchObject({
      ...ports,
      protocol: 6,
      flags: 2,
      bytes: packet.length,
      fragment: null,
    });
  });

  test("the ninth is not followed", () => {
    const packet = ipv6({ ...v6, extensions: Array.from({ length: 9 }, () => extension(60)) }, syn);
    expect(facts(decode(packet, linkType.RAW))).toMatchObject({
      protocol: 60,
      sourcePort: 0,
      bytes: packet.length,
    });
  });

  test("one that claims more than there is, is not followed", () => {
    const packet = ipv6(
      { ...v6, extensions: [{ header: 60, rest: bytesOf([200], new Uint8Array(6)) }] },
      syn,
    );
    expect(facts(decode(packet, linkType.RAW))).toMatchObject({
      protocol: 60,
      sourcePort: 0,
      flags: undefined,
    });
  });
});

describe("fragments", () => {
  const big = udp(ports, new Uint8Array(3000));
  test.each<[string, Uint8Array[], number]>([
    ["IPv4", ipv4Fragments({ ...v4, id: 0xabcd }, big, 1480), 20],
    ["IPv6", ipv6Fragments({ ...v6, id: 0xdeadbeef }, big, 1448), 48],
    ["IPv6 behind an extension", ipv6Fragments({ ...v6, id: 1, extensions: [extension(60)] }, big, 1448), 56],
  ])("%s", (_, packets, headerBytes) => {
    const decoded = packets.map((packet) => decode(packet, linkType.RAW) as Packet);
    expect(decoded.map((packet) => packet.sourcePort)).toEqual([ports.sourcePort, 0, 0]);
    expect(decoded.map((packet) => packet.fragment?.more)).toEqual([true, true, false]);
    expect(new Set(decoded.map((packet) => packet.fragment?.id)).size).toBe(1);
    expect(decoded.map((packet) => packet.protocol)).toEqual([17, 17, 17]);
    let offset = 0;
    for (const packet of decoded) {
      expect(packet.fragment?.offsetBytes).toBe(offset);
      offset += packet.bytes - headerBytes;
    }
    expect(offset).toBe(big.bytes.length);
  });

  test("an IPv6 fragment names what its header names, not what lies behind further headers", () => {
    const inner = { protocol: 60, bytes: bytesOf([17, 0, 1, 4, 0, 0, 0, 0], big.bytes) };
    const [first, second] = ipv6Fragments({ ...v6, id: 5 }, inner, 1448).map((packet) =>
      decode(packet, linkType.RAW),
    );
    expect(first).toMatchObject({ protocol: 17, sourcePort: ports.sourcePort, fragment: { protocol: 60 } });
    expect(second).toMatchObject({ protocol: 60, sourcePort: 0, fragment: { protocol: 60 } });
  });
});

describe("lengths", () => {
  test("the frame's length where segmentation offload leaves the total length 0", () => {
    const segment = tcp({ ...ports, flags: 0x10 }, new Uint8Array(9000));
    const frame = ethernet(ipv4({ ...v4, totalLength: 0 }, segment));
    expect(decode(frame)).toMatchObject({ bytes: 9040, tcp: { payloadBytes: 9000 } });
    expect(decode(frame.subarray(0, 96), linkType.ETHERNET, 200_000)).toMatchObject({ bytes: 199_986 });
  });

  test("the frame's length where IPv6's payload length is 0", () => {
    const segment = tcp({ ...ports, flags: 0x10 }, new Uint8Array(9000));
    expect(decode(ipv6({ ...v6, payloadLength: 0 }, segment), linkType.RAW)).toMatchObject({
      ...ports,
      bytes: 9060,
    });
  });

  test("padding does not count, nor is it read as a header", () => {
    const frame = ethernet(ipv4(v4, { protocol: protocolNumbers.tcp, bytes: new Uint8Array(0) }));
    const padded = bytesOf(frame, new Uint8Array(26).fill(0xff));
    expect(decode(padded)).toMatchObject({ bytes: 20, sourcePort: 0, tcp: null });
  });

  test("a total length above the frame counts as the frame", () => {
    expect(decode(ipv4({ ...v4, totalLength: 60_000 }, syn), linkType.RAW)).toMatchObject({
      bytes: 40,
      ...ports,
    });
    expect(decode(ipv6({ ...v6, payloadLength: 60_000 }, syn), linkType.RAW)).toMatchObject({
      bytes: 60,
      ...ports,
    });
  });

  test.each([
    [34 + 3, { sourcePort: 0, tcp: null }],
    [34 + 4, { ...ports, tcp: null }],
    [34 + 13, { ...ports, tcp: null }],
    [34 + 14, { ...ports, tcp: { sequence: 0xdeadbeef, flags: 2 } }],
  ])("captured up to byte %i", (captured, expected) => {
    const frame = ethernet(ipv4(v4, syn));
    expect(decode(frame.subarray(0, captured), linkType.ETHERNET, 54)).toMatchObject({
      bytes: 40,
      ...expected,
    });
  });
});

describe("what is no packet", () => {
  const four = ipv4(v4, syn);
  test.each<[string, Uint8Array, number]>([
    ["nothing", new Uint8Array(0), linkType.ETHERNET],
    ["ARP", ethernet(new Uint8Array(46), { etherType: 0x0806 }), linkType.ETHERNET],
    ["802.3 with a length", ethernet(four, { etherType: 0x0026 }), linkType.ETHERNET],
    ["five VLAN tags", ethernet(four, { vlans: [1, 2, 3, 4, 5].map((id) => ({ id })) }), linkType.ETHERNET],
    ["a cut VLAN tag", ethernet(four, { vlans: [{ id: 1 }] }).subarray(0, 17), linkType.ETHERNET],
    ["IPv6 announced as IPv4", ethernet(ipv6(v6, syn), { etherType: 0x0800 }), linkType.ETHERNET],
    ["IPv6 of LINKTYPE_IPV4", ipv6(v6, syn), linkType.IPV4],
    ["version 5", bytesOf([0x55], four.subarray(1)), linkType.RAW],
    ["a cut IPv4 header", four.subarray(0, 19), linkType.RAW],
    ["a cut IPv6 header", ipv6(v6, syn).subarray(0, 39), linkType.RAW],
    ["a header of 16 bytes", ipv4({ ...v4, headerWords: 4 }, syn), linkType.RAW],
    ["a header above the total length", ipv4({ ...v4, totalLength: 19 }, syn), linkType.RAW],
    ["a header above the frame", ipv4({ ...v4, headerWords: 15 }, syn).subarray(0, 40), linkType.RAW],
    ["an unknown link type", four, 147],
    ["an unknown family", bytesOf([7, 0, 0, 0], four), linkType.NULL],
    ["a cut SLL2 header", bytesOf(be16(0x0800), new Uint8Array(17)), linkType.LINUX_SLL2],
  ])("%s", (_, frame, type) => {
    expect(decode(frame, type)).toBeUndefined();
  });
});

describe("fuzzing: mutated frames decode or do not, within what the frame had", () => {
  const seeds = mixedTraffic(1, 60).map(({ packet, vlans }) => ethernet(packet, { vlans }));
  const types = Object.values(linkType);

  test.each([1, 2, 3])("seed %i", (seed) => {
    const random = seededRandom(seed);
    let decoded = 0;
    for (let round = 0; round < 20_000; round++) {
      const frame = seeds[random.below(seeds.length)]!.slice(0, 1 + random.below(200));
      // Mostly in the headers, where it matters.
      for (let count = random.below(5); count > 0; count--)
        frame[random.below(Math.min(frame.length, 80))] = random.below(256);
      const type = random.below(4) === 0 ? types[random.below(types.length)]! : linkType.ETHERNET;
      const original = frame.length + random.below(2000);
      const packet = decodePacket(type, frame, original);
      if (packet === undefined) continue;
      decoded++;
      const { bytes, source, destination, sourcePort, destinationPort, tcp: header } = packet;
      const right =
        bytes >= 20 &&
        bytes <= original &&
        source.length + destination.length === 32 &&
        (sourcePort | destinationPort) >>> 16 === 0 &&
        (header === null || header.payloadBytes <= bytes);
      if (!right) expect.fail(`round ${round}: ${JSON.stringify(packet)}`);
    }
    expect(decoded).toBeGreaterThan(5000);
  });
});
