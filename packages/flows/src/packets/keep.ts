/** The newest packets of a capture, in memory, within a budget. */

export interface Kept {
  readonly bytes: number;
  /** Packets that had to make room. */
  readonly forgotten: number;
  push(block: Buffer): void;
  /** Oldest first. */
  blocks(): readonly Buffer[];
}

/** Blocks are copied into pieces of this size, so that no block keeps the chunk alive in which it came. */
const PIECE_BYTES = 1 << 20;

interface Piece {
  readonly bytes: Buffer;
  used: number;
  packets: number;
}

/** @param mostBytes of blocks; the oldest go a piece at a time, so up to a megabyte fewer may be kept. */
export function keepNewest(mostBytes: number): Kept {
  const pieces: Piece[] = [];
  let bytes = 0;
  let forgotten = 0;
  return {
    get bytes() {
      return bytes;
    },
    get forgotten() {
      return forgotten;
    },
    push(block) {
      let last = pieces.at(-1);
      if (last === undefined || last.used + block.length > last.bytes.length) {
        last = { bytes: Buffer.alloc(Math.max(PIECE_BYTES, block.length)), used: 0, packets: 0 };
        pieces.push(last);
      }
      last.used += block.copy(last.bytes, last.used);
      last.packets++;
      bytes += block.length;
      while (bytes > mostBytes && pieces.length > 1) {
        const oldest = pieces.shift() as Piece;
        bytes -= oldest.used;
        forgotten += oldest.packets;
      }
    },
    blocks: () => pieces.map((piece) => piece.bytes.subarray(0, piece.used)),
  };
}
