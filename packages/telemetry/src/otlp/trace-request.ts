/** An ExportTraceServiceRequest: opentelemetry/proto/collector/trace/v1/trace_service.proto, v1.7. */
import type { Attributes } from "@opentelemetry/api";
import {
  type ByteWriter,
  beginDelimited,
  byteWriter,
  endDelimited,
  reserve,
  writeString,
} from "@x0tta6bl4/core";
import { type AttributeList, setAttributes } from "../tracing/attributes.ts";
import type { SpanChunk } from "../tracing/chunks.ts";
import { writeAttributes } from "../tracing/encode-span.ts";
import type { Scope } from "../tracing/provider.ts";

export interface Resource {
  readonly attributes: Attributes;
  readonly schemaUrl: string | undefined;
}

/** @returns one request with all spans of the chunks, by scope. */
export function traceRequest(
  resource: Resource,
  scopes: readonly Scope[],
  chunks: readonly SpanChunk[],
): Buffer {
  const size = chunks.reduce((sum, { bytes }) => sum + bytes.length, 4096);
  const writer = byteWriter(size);
  const at = begin(writer, 0x0a);
  const resourceAt = begin(writer, 0x0a);
  const attributes: AttributeList = [];
  setAttributes(attributes, resource.attributes, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY);
  writeAttributes(writer, 0x0a, attributes);
  endDelimited(writer, resourceAt);
  for (const [number, scope] of scopes.entries()) writeScope(writer, scope, number, chunks);
  if (resource.schemaUrl) writeText(writer, 0x1a, resource.schemaUrl);
  endDelimited(writer, at);
  return writer.bytes.subarray(0, writer.length);
}

function writeScope(writer: ByteWriter, scope: Scope, number: number, chunks: readonly SpanChunk[]): void {
  if (!chunks.some(({ index, count }) => hasScope(index, count, number))) return;
  const at = begin(writer, 0x12);
  const scopeAt = begin(writer, 0x0a);
  if (scope.name) writeText(writer, 0x0a, scope.name);
  if (scope.version) writeText(writer, 0x12, scope.version);
  endDelimited(writer, scopeAt);
  for (const { bytes, index, count } of chunks)
    for (let span = 0, start = 0; span < count; span++) {
      const end = index[2 * span] as number;
      if (index[2 * span + 1] === number) {
        reserve(writer, end - start);
        writer.bytes.set(bytes.subarray(start, end), writer.length);
        writer.length += end - start;
      }
      start = end;
    }
  if (scope.schemaUrl) writeText(writer, 0x1a, scope.schemaUrl);
  endDelimited(writer, at);
}

function hasScope(index: Uint32Array, count: number, number: number): boolean {
  for (let span = 0; span < count; span++) if (index[2 * span + 1] === number) return true;
  return false;
}

function begin(writer: ByteWriter, tag: number): number {
  reserve(writer, 1);
  writer.bytes[writer.length++] = tag;
  return beginDelimited(writer);
}

function writeText(writer: ByteWriter, tag: number, text: string): void {
  reserve(writer, 1);
  writer.bytes[writer.length++] = tag;
  writeString(writer, text);
}
