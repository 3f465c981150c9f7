import { createReadStream } from "node:fs";
import { addAbortSignal, type Readable } from "node:stream";
import { messageOf } from "@x0tta6bl4/core";
import { flowsFail } from "../errors.ts";
import { type ByteSource, byteSource, truncated, u32 } from "./bytes.ts";
import { gunzip } from "./gunzip.ts";
import { type CapturedPacket, isPcap, readPcap } from "./pcap.ts";
import { readPcapng, sectionHeaderType } from "./pcapng.ts";

export interface CaptureOptions {
  /** Ends the reading; the iterable then throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** What `-` stands for. Default this process's. */
  readonly stdin?: Readable;
}

const modifiedMagics = new Set([0xa1b2cd34, 0x34cdb2a1]);

/**
 * Reads the packets of a pcap or pcapng file, gzip'd or not, in memory that does not grow with the file.
 *
 * @param path of a file, or `-` for standard input.
 * @throws X0_FLOWS_CAPTURE_UNREADABLE, X0_FLOWS_CAPTURE_UNSUPPORTED; X0_FLOWS_CAPTURE_TRUNCATED and
 * X0_FLOWS_CAPTURE_CORRUPT after the packets before the fault.
 */
export async function* readCapture(
  path: string,
  options: CaptureOptions = {},
): AsyncGenerator<CapturedPacket> {
  const stream =
    path === "-" ? (options.stdin ?? process.stdin) : createReadStream(path, { highWaterMark: 262_144 });
  if (options.signal !== undefined) addAbortSignal(options.signal, stream);
  yield* readCaptureBytes(readable(stream, path === "-" ? "standard input" : path));
}

/** The same over the bytes of a file. */
export async function* readCaptureBytes(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<CapturedPacket> {
  let source = byteSource(chunks);
  try {
    let magic = await magicOf(source);
    const zipped = magic >>> 16 === 0x1f8b;
    if (zipped) {
      source = byteSource(gunzip(source.rest()));
      magic = await magicOf(source);
    }
    if (magic === sectionHeaderType) yield* readPcapng(source);
    else if (isPcap(magic)) yield* readPcap(source);
    else if (source.buffered < 4) throw truncated(source, 0, "a capture's file header", 24);
    else throw notCapture(magic, zipped);
  } finally {
    await source.close();
  }
}

/** The first four bytes, big-endian; 0 if there are fewer. */
async function magicOf(source: ByteSource): Promise<number> {
  const head = await source.peek(4);
  return head.length < 4 ? 0 : u32(head, 0, false);
}

function notCapture(magic: number, zipped: boolean): Error {
  const what = modifiedMagics.has(magic)
    ? 'the "modified" pcap of an old Linux patch'
    : "not the magic number of a capture";
  return flowsFail(
    "X0_FLOWS_CAPTURE_UNSUPPORTED",
    `the ${zipped ? "inflated " : ""}file begins with ${magic.toString(16).padStart(8, "0")}, ${what}`,
    { hint: "x0 reads pcap and pcapng, gzip'd or not; others: editcap -F pcapng OLD NEW" },
  );
}

async function* readable(stream: Readable, name: string): AsyncGenerator<Uint8Array> {
  try {
    yield* stream as AsyncIterable<Uint8Array>;
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") throw error;
    throw flowsFail("X0_FLOWS_CAPTURE_UNREADABLE", `${name} cannot be read: ${messageOf(error)}`, {
      hint: "give a pcap or pcapng file that this user may read, or - for standard input",
      cause: error,
    });
  }
}
