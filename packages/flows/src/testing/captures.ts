/** Capture files for tests: pcap and pcapng as bytes, in either byte order. */
import { bytesOf, joined } from "./frames.ts";

export interface TestPacket {
  readonly frame: Uint8Array;
  readonly timestampNs: bigint;
  /** Default the frame's length. */
  readonly originalLength?: number;
  /** pcapng: index of the interface. Default 0. */
  readonly interfaceId?: number;
}

export interface PcapOptions {
  readonly linkType?: number;
  readonly big?: boolean;
  readonly nanoseconds?: boolean;
}

export interface TestInterface {
  readonly linkType?: number;
  readonly snapLength?: number;
  readonly name?: string;
  /** The option's byte: 6 is microseconds, 9 nanoseconds, 0x80 | n is 2^-n s. */
  readonly resolution?: number;
  readonly offsetSeconds?: bigint;
}

export interface PcapngOptions {
  readonly big?: boolean;
  readonly interfaces?: readonly TestInterface[];
  readonly packetBlock?: "enhanced" | "simple" | "obsolete";
}

interface Writer {
  u16(value: number): Uint8Array;
  u32(value: number): Uint8Array;
  i64(value: bigint): Uint8Array;
}

export function pcap(packets: readonly TestPacket[], options: PcapOptions = {}): Uint8Array {
  const { u16, u32 } = writer(options.big);
  const unitNs = options.nanoseconds === true ? 1n : 1000n;
  return joined([
    u32(options.nanoseconds === true ? 0xa1b23c4d : 0xa1b2c3d4),
    u16(2),
    u16(4),
    u32(0),
    u32(0),
    u32(262_144),
    u32(options.linkType ?? 1),
    ...packets.flatMap(({ frame, timestampNs, originalLength }) => [
      u32(Number(timestampNs / 1_000_000_000n)),
      u32(Number((timestampNs % 1_000_000_000n) / unitNs)),
      u32(frame.length),
      u32(originalLength ?? frame.length),
      frame,
    ]),
  ]);
}

/** One section; concatenated sections are a file too. */
export function pcapng(packets: readonly TestPacket[], options: PcapngOptions = {}): Uint8Array {
  const { u16, u32, i64 } = writer(options.big);
  const interfaces = options.interfaces ?? [{}];
  const optionOf = (code: number, value: Uint8Array) => [u16(code), u16(value.length), padded(value)];
  const described = interfaces.map((each) =>
    block(
      1,
      [
        u16(each.linkType ?? 1),
        u16(0),
        u32(each.snapLength ?? 0),
        ...(each.name === undefined ? [] : optionOf(2, new TextEncoder().encode(each.name))),
        ...(each.resolution === undefined ? [] : optionOf(9, Uint8Array.of(each.resolution))),
        ...(each.offsetSeconds === undefined ? [] : optionOf(14, i64(each.offsetSeconds))),
        u32(0),
      ],
      options.big,
    ),
  );
  const written = packets.map((packet) => {
    const { frame, timestampNs, interfaceId = 0 } = packet;
    const original = u32(packet.originalLength ?? frame.length);
    if (options.packetBlock === "simple") return block(3, [original, padded(frame)], options.big);
    const each = interfaces[interfaceId];
    const units = unitsOf(timestampNs - (each?.offsetSeconds ?? 0n) * 1_000_000_000n, each?.resolution ?? 6);
    const rest = [
      u32(Number(units >> 32n)),
      u32(Number(units & 0xffffffffn)),
      u32(frame.length),
      original,
      padded(frame),
    ];
    return options.packetBlock === "obsolete"
      ? block(2, [u16(interfaceId), u16(0), ...rest], options.big)
      : block(6, [u32(interfaceId), ...rest], options.big);
  });
  return joined([sectionHeader(options.big), ...described, ...written]);
}

export function sectionHeader(big = false): Uint8Array {
  const { u16, u32, i64 } = writer(big);
  return block(0x0a0d0d0a, [u32(0x1a2b3c4d), u16(1), u16(0), i64(-1n)], big);
}

/** A pcapng block of any type around its body. */
export function block(type: number, body: readonly Uint8Array[], big = false): Uint8Array {
  const { u32 } = writer(big);
  const bytes = padded(bytesOf(...body));
  const length = u32(bytes.length + 12);
  return bytesOf(u32(type), length, bytes, length);
}

function unitsOf(ns: bigint, resolution: number): bigint {
  const perSecond = resolution & 0x80 ? 2n ** BigInt(resolution & 0x7f) : 10n ** BigInt(resolution);
  return (ns * perSecond) / 1_000_000_000n;
}

function padded(bytes: Uint8Array): Uint8Array {
  return bytesOf(bytes, new Uint8Array((4 - (bytes.length % 4)) % 4));
}

function writer(big = false): Writer {
  const write = (size: number, put: (view: DataView) => void): Uint8Array => {
    const bytes = new Uint8Array(size);
    put(new DataView(bytes.buffer));
    return bytes;
  };
  return {
    u16: (value) => write(2, (view) => view.setUint16(0, value, !big)),
    u32: (value) => write(4, (view) => view.setUint32(0, value, !big)),
    i64: (value) => write(8, (view) => view.setBigInt64(0, value, !big)),
  };
}
