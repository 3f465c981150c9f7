/**
 * Writes pcapng: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcapng/ (block numbers, options and names from
 * there). Blocks go one behind the other into a buffer that grows; timestamps are nanoseconds.
 */

export const blockType = {
  sectionHeader: 0x0a0d0d0a,
  interfaceDescription: 1,
  interfaceStatistics: 5,
  enhancedPacket: 6,
} as const;

export const linkType = { ethernet: 1, raw: 101 } as const;

const option = {
  end: 0,
  comment: 1,
  /** Of a section header. */
  os: 3,
  application: 4,
  /** Of an interface. */
  name: 2,
  description: 3,
  timestampResolution: 9,
  /** Of a packet. */
  flags: 2,
  /** Of statistics. */
  received: 4,
  dropped: 5,
  delivered: 8,
} as const;

/** A block's type and length before its body, the length behind it once more. */
const FRAME = 12;
const NANOSECONDS = 9;

export interface InterfaceDescription {
  readonly linkType: number;
  readonly snapLength: number;
  readonly name: string;
  readonly description?: string;
}

export interface PacketBlock {
  /** In the order of the descriptions. */
  readonly interface: number;
  readonly timestampNs: bigint;
  readonly originalLength: number;
  readonly direction: "in" | "out" | "unknown";
  readonly comment: string;
  /** The captured bytes, in two parts, the first of which may be empty. */
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

export interface InterfaceStatistics {
  readonly interface: number;
  readonly timestampNs: bigint;
  /** Packets that matched the filter; of those, how many were lost, and how many are in the file. */
  readonly received: number;
  readonly dropped: number;
  readonly delivered: number;
}

export interface PcapngWriter {
  readonly length: number;
  sectionHeader(options: { readonly application: string; readonly os: string }): void;
  interfaceDescription(description: InterfaceDescription): void;
  packet(packet: PacketBlock): void;
  statistics(statistics: InterfaceStatistics): void;
  /** What was written since the last call, as a buffer of its own. */
  take(): Uint8Array<ArrayBuffer>;
}

/** Of a block that `statistics` wrote: its second option is `dropped`. */
export function droppedOf(block: Buffer): number {
  return Number(block.readBigUInt64LE(8 + 12 + 12 + 4));
}

export function createPcapngWriter(): PcapngWriter {
  let buffer = Buffer.alloc(65_536);
  let end = 0;

  const reserve = (bytes: number): void => {
    if (end + bytes <= buffer.length) return;
    const larger = Buffer.alloc(Math.max(2 * buffer.length, end + bytes));
    buffer.copy(larger, 0, 0, end);
    buffer = larger;
  };
  const u16 = (value: number): void => {
    end = buffer.writeUInt16LE(value, end);
  };
  const u32 = (value: number): void => {
    end = buffer.writeUInt32LE(value >>> 0, end);
  };
  const pad = (): void => {
    while (end % 4 !== 0) buffer[end++] = 0;
  };
  const timestamp = (ns: bigint): void => {
    u32(Number(ns >> 32n));
    u32(Number(ns & 0xffff_ffffn));
  };
  const textOption = (code: number, text: string): void => {
    // The kernel's names are short; a comment has two of them.
    const bytes = Buffer.from(text).subarray(0, 65_532);
    reserve(bytes.length + 8 + FRAME);
    u16(code);
    u16(bytes.length);
    end += bytes.copy(buffer, end);
    pad();
  };
  const countOption = (code: number, count: number): void => {
    u16(code);
    u16(8);
    end = buffer.writeBigUInt64LE(BigInt(count), end);
  };
  /** Writes a block whose body `body` writes; it reserves for itself what is beyond 128 bytes. */
  const block = (type: number, body: () => void): void => {
    reserve(FRAME + 128);
    const start = end;
    u32(type);
    u32(0);
    body();
    reserve(FRAME);
    u32(option.end);
    const length = end + 4 - start;
    u32(length);
    buffer.writeUInt32LE(length, start + 4);
  };

  return {
    get length() {
      return end;
    },
    sectionHeader({ application, os }) {
      block(blockType.sectionHeader, () => {
        u32(0x1a2b3c4d);
        u16(1);
        u16(0);
        // The section's length is not known.
        u32(0xffff_ffff);
        u32(0xffff_ffff);
        textOption(option.os, os);
        textOption(option.application, application);
      });
    },
    interfaceDescription({ linkType: type, snapLength, name, description }) {
      block(blockType.interfaceDescription, () => {
        u16(type);
        u16(0);
        u32(snapLength);
        textOption(option.name, name);
        if (description !== undefined) textOption(option.description, description);
        u16(option.timestampResolution);
        u16(1);
        u32(NANOSECONDS);
      });
    },
    packet({ interface: from, timestampNs, originalLength, direction, comment, head, tail }) {
      block(blockType.enhancedPacket, () => {
        const captured = head.length + tail.length;
        reserve(captured + 64);
        u32(from);
        timestamp(timestampNs);
        u32(captured);
        u32(Math.max(originalLength, captured));
        buffer.set(head, end);
        buffer.set(tail, end + head.length);
        end += captured;
        pad();
        u16(option.flags);
        u16(4);
        u32(direction === "in" ? 1 : direction === "out" ? 2 : 0);
        if (comment !== "") textOption(option.comment, comment);
      });
    },
    statistics({ interface: of, timestampNs, received, dropped, delivered }) {
      block(blockType.interfaceStatistics, () => {
        u32(of);
        timestamp(timestampNs);
        countOption(option.received, received);
        countOption(option.dropped, dropped);
        countOption(option.delivered, delivered);
      });
    },
    take() {
      const taken = new Uint8Array(buffer.subarray(0, end));
      end = 0;
      return taken;
    },
  };
}
