/**
 * Ended spans as bytes, in chunks: each span is a field `spans` of ScopeSpans, and beside the bytes stands where each
 * ends and which scope made it. A chunk is handed on when it is full, or when somebody flushes.
 */
import { type ByteWriter, byteWriter } from "@x0tta6bl4/core";
import { type EndedSpan, encodeSpan } from "./encode-span.ts";
import type { TimeAnchor } from "./time.ts";

export interface SpanChunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly count: number;
  /** Where each span ends in `bytes`, then the number of its scope: two a span. */
  readonly index: Uint32Array<ArrayBuffer>;
}

export interface ChunkOptions {
  /** A chunk is handed on once it has more. A single span may be larger. */
  readonly chunkBytes: number;
  readonly chunkSpans: number;
  readonly onChunk: (chunk: SpanChunk) => void;
}

export class SpanChunks {
  readonly #options: ChunkOptions;
  readonly #anchor: TimeAnchor;
  #writer: ByteWriter;
  #index: Uint32Array<ArrayBuffer>;
  #count = 0;
  #failed = 0;

  constructor(anchor: TimeAnchor, options: ChunkOptions) {
    this.#anchor = anchor;
    this.#options = options;
    this.#writer = byteWriter(options.chunkBytes + 4096);
    this.#index = new Uint32Array(2 * options.chunkSpans);
  }

  /** Spans that could not be written: a value's getter threw, memory was short. */
  get failed(): number {
    return this.#failed;
  }

  add(span: EndedSpan, scope: number): void {
    const writer = this.#writer;
    try {
      encodeSpan(writer, span, this.#anchor);
    } catch {
      this.#failed++;
      return;
    }
    this.#index[2 * this.#count] = writer.length;
    this.#index[2 * this.#count + 1] = scope;
    this.#count++;
    if (this.#count >= this.#options.chunkSpans || writer.length >= this.#options.chunkBytes) this.flush();
  }

  flush(): void {
    if (this.#count === 0) return;
    const { bytes, length } = this.#writer;
    const chunk = {
      bytes: new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, length),
      count: this.#count,
      index: this.#index.subarray(0, 2 * this.#count),
    };
    this.#writer = byteWriter(this.#options.chunkBytes + 4096);
    this.#index = new Uint32Array(2 * this.#options.chunkSpans);
    this.#count = 0;
    this.#options.onChunk(chunk);
  }
}
