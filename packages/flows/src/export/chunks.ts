/** Gathers texts, one a record, into chunks of a size that a destination takes at once. */
import type { Chunk } from "@x0tta6bl4/telemetry";

export interface Chunks {
  add(text: string): void;
  /** Hands on what is gathered. */
  flush(): void;
}

export interface ChunkOptions {
  /** A chunk is handed on before it would exceed this; one text alone may. */
  readonly maxBytes: number;
  readonly before: string;
  readonly between: string;
  readonly after: string;
  put(chunk: Chunk): void;
}

export function gatherChunks({ maxBytes, before, between, after, put }: ChunkOptions): Chunks {
  let texts: string[] = [];
  let bytes = 0;
  const flush = (): void => {
    if (texts.length === 0) return;
    put({ bytes: Buffer.from(`${before}${texts.join(between)}${after}`), records: texts.length });
    texts = [];
    bytes = 0;
  };
  const frame = before.length + after.length;
  return {
    add(text) {
      const size = Buffer.byteLength(text) + between.length;
      if (bytes + size + frame > maxBytes) flush();
      texts.push(text);
      bytes += size;
    },
    flush,
  };
}
