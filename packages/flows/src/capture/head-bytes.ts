/**
 * The first bytes of a message out of a ring event: copied, since the event is the kernel's again soon, into memory that
 * serves all of them, and shown by a view for each length that is made once.
 */
export type HeadBytes = (words: Uint32Array, at: number, length: number) => Uint8Array;

/** @param mostBytes a multiple of 4; what is longer is cut. @returns what is valid until its next call. */
export function createHeadBytes(mostBytes: number): HeadBytes {
  const copy = new Uint32Array(mostBytes / 4);
  const views = Array.from({ length: mostBytes + 1 }, (_, length) => new Uint8Array(copy.buffer, 0, length));
  return (words, at, length) => {
    const bytes = Math.min(length, mostBytes);
    for (let index = 0; index * 4 < bytes; index++) copy[index] = words[at + index] as number;
    return views[bytes] as Uint8Array;
  };
}
