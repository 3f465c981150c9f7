/** Reads pcap files: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/ */
import { flowsFail } from "../errors.ts";
import { type ByteSource, corrupt, truncated, u16, u32 } from "./bytes.ts";
import { captureLimits } from "./limits.ts";

/** One packet as a capture file holds it. */
export interface CapturedPacket {
  /** Since 1970, UTC. */
  readonly timestampNs: bigint;
  /** LINKTYPE_* of the tcpdump group. */
  readonly linkType: number;
  /** From the link header on, up to the snapshot length. */
  readonly data: Uint8Array;
  /** Length on the wire. */
  readonly originalLength: number;
  /** pcapng only, where the writer names its interfaces. */
  readonly interfaceName?: string;
}

const magics: Readonly<Record<number, { little: boolean; unitNs: number }>> = {
  2712847316: { little: false, unitNs: 1000 },
  3569595041: { little: true, unitNs: 1000 },
  2712812621: { little: false, unitNs: 1 },
  1295823521: { little: true, unitNs: 1 },
};

/** @param magic the file's first four bytes, big-endian. */
export function isPcap(magic: number): boolean {
  return magic in magics;
}

/**
 * @param source at the file's first byte, which `isPcap` knows.
 * @throws X0_FLOWS_CAPTURE_TRUNCATED, X0_FLOWS_CAPTURE_CORRUPT after the packets before the fault;
 * X0_FLOWS_CAPTURE_UNSUPPORTED
 */
export async function* readPcap(source: ByteSource): AsyncGenerator<CapturedPacket> {
  const header = await source.read(24);
  if (header === undefined) throw truncated(source, 0, "the file header", 24);
  const { little, unitNs } = magics[u32(header, 0, false)] as { little: boolean; unitNs: number };
  const version = `${u16(header, 4, little)}.${u16(header, 6, little)}`;
  if (version !== "2.4")
    throw flowsFail("X0_FLOWS_CAPTURE_UNSUPPORTED", `the capture is pcap version ${version}, not 2.4`, {
      hint: "rewrite it: editcap -F pcap OLD NEW",
    });
  // The upper half tells about frame check sequences, which count as padding.
  const linkType = u32(header, 20, little) & 0xffff;

  for (;;) {
    const at = source.offset;
    const record = source.take(16) ?? (await source.read(16));
    if (record === undefined) {
      if (source.buffered === 0) return;
      throw truncated(source, at, "a packet header", 16);
    }
    const captured = u32(record, 8, little);
    const originalLength = u32(record, 12, little);
    checkLengths(at, captured, originalLength);
    const data = source.take(captured) ?? (await source.read(captured));
    if (data === undefined) throw truncated(source, at, "a packet", 16 + captured);
    const timestampNs =
      BigInt(u32(record, 0, little)) * 1_000_000_000n + BigInt(u32(record, 4, little) * unitNs);
    yield { timestampNs, linkType, data, originalLength: Math.max(originalLength, captured) };
  }
}

/** Some writers give an original length below the captured one; that is taken as equal, not as a fault. */
export function checkLengths(at: number, captured: number, original: number): void {
  if (captured > captureLimits.capturedBytes)
    throw corrupt(
      at,
      `a packet claims ${captured} captured bytes; at most ${captureLimits.capturedBytes} are possible`,
    );
  if (original > captureLimits.originalBytes)
    throw corrupt(
      at,
      `a packet claims ${original} bytes; at most ${captureLimits.originalBytes} are possible`,
    );
}
