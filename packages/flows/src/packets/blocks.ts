/** Takes a pcapng stream from the agent apart into its blocks, wherever its chunks end. */
import { flowsFail } from "../errors.ts";
import { packetLimits } from "./contract.ts";

export interface Block {
  readonly type: number;
  /** The whole block, with its type and both lengths. */
  readonly bytes: Buffer;
}

/** A packet at its longest, with a comment of two processes; a block that claims more is not ours. */
const MOST_BYTES = packetLimits.snapBytes + 65_536;

/** @throws X0_FLOWS_UNEXPECTED_ANSWER for what is no pcapng of ours; an incomplete last block is left out. */
export async function* readBlocks(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Block> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    rest =
      rest.length === 0
        ? Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
        : Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length - at >= 12) {
      const length = rest.readUInt32LE(at + 4);
      if (length < 12 || length % 4 !== 0 || length > MOST_BYTES)
        throw flowsFail("X0_FLOWS_UNEXPECTED_ANSWER", `the agent sent a block of ${length} bytes`, {
          hint: "restart the agent with this version of x0",
        });
      if (rest.length - at < length) break;
      yield { type: rest.readUInt32LE(at), bytes: rest.subarray(at, at + length) };
      at += length;
    }
    rest = rest.subarray(at);
  }
}
