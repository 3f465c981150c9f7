import { flowsFail } from "../errors.ts";

/** A stream of chunks read as records: what is buffered at once is one record and the rest of one chunk. */
export interface ByteSource {
  /** Bytes taken so far: where in the stream the next record begins. */
  readonly offset: number;
  /** Bytes at hand; after a failed `read` or `skip`, all that the stream still had. */
  readonly buffered: number;
  /** The next bytes, a view that stays valid; undefined if they are not at hand yet. */
  take(size: number): Uint8Array | undefined;
  /** The next bytes, or undefined (and nothing taken) if the stream ends before. */
  read(size: number): Promise<Uint8Array | undefined>;
  /** The next bytes without taking them; fewer if the stream ends before. */
  peek(size: number): Promise<Uint8Array>;
  /** @returns false if the stream ends before. */
  skip(size: number): Promise<boolean>;
  /** All that is left, as chunks; to be read instead of the source. */
  rest(): AsyncGenerator<Uint8Array>;
  /** Lets the stream go. */
  close(): Promise<void>;
}

export function byteSource(chunks: AsyncIterable<Uint8Array>): ByteSource {
  const iterator = chunks[Symbol.asyncIterator]();
  let buffer: Uint8Array = new Uint8Array(0);
  let at = 0;
  let taken = 0;

  function take(size: number): Uint8Array | undefined {
    if (buffer.length - at < size) return undefined;
    const bytes = buffer.subarray(at, at + size);
    at += size;
    taken += size;
    return bytes;
  }

  /** Joins once, however small the chunks are. */
  async function fill(size: number): Promise<void> {
    const pieces = [buffer.subarray(at)];
    let length = buffer.length - at;
    let ended = false;
    try {
      while (length < size && !ended) {
        const { done, value } = await iterator.next();
        ended = done === true;
        if (value !== undefined) {
          pieces.push(value);
          length += value.length;
        }
      }
    } finally {
      buffer = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces, length);
      at = 0;
    }
  }

  return {
    get offset() {
      return taken;
    },
    get buffered() {
      return buffer.length - at;
    },
    take,
    async read(size) {
      if (buffer.length - at < size) await fill(size);
      return take(size);
    },
    async peek(size) {
      if (buffer.length - at < size) await fill(size);
      return buffer.subarray(at, at + size);
    },
    async skip(size) {
      let left = size;
      for (;;) {
        const step = Math.min(left, buffer.length - at);
        at += step;
        taken += step;
        left -= step;
        if (left === 0) return true;
        await fill(1);
        if (buffer.length === at) return false;
      }
    },
    async *rest() {
      try {
        yield buffer.subarray(at);
        for (;;) {
          const { done, value } = await iterator.next();
          if (done === true) return;
          yield value;
        }
      } finally {
        await iterator.return?.();
      }
    },
    async close() {
      await iterator.return?.();
    },
  };
}

export function u16(bytes: Uint8Array, at: number, little: boolean): number {
  const [low, high] = little ? [at, at + 1] : [at + 1, at];
  return (bytes[low] as number) | ((bytes[high] as number) << 8);
}

export function u32(bytes: Uint8Array, at: number, little: boolean): number {
  const [low, high] = little ? [at, at + 2] : [at + 2, at];
  return (u16(bytes, low, little) | (u16(bytes, high, little) << 16)) >>> 0;
}

/** @param at where the record begins whose `size` bytes are not all there. */
export function truncated(source: ByteSource, at: number, what: string, size: number): Error {
  const there = source.offset + source.buffered - at;
  return flowsFail(
    "X0_FLOWS_CAPTURE_TRUNCATED",
    `the capture ends at byte ${at + there}: ${what} that begins at byte ${at} needs ${size} bytes, ${there} are there`,
    { hint: "what came before is complete; copy the file again, or end the capture before reading it" },
  );
}

export function corrupt(at: number, problem: string): Error {
  return flowsFail("X0_FLOWS_CAPTURE_CORRUPT", `the capture is corrupt at byte ${at}: ${problem}`, {
    hint: "what came before was read; copy the file again, or capture again",
  });
}
