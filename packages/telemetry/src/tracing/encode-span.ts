/**
 * A span as OTLP writes it: opentelemetry/proto/trace/v1/trace.proto and common/v1/common.proto, v1.7. Each span
 * becomes one field `spans` of ScopeSpans, identifiers first, so that a reader finds them at a fixed place.
 */
import {
  type ByteWriter,
  beginDelimited,
  endDelimited,
  reserve,
  writeBigVarint,
  writeDouble,
  writeString,
  writeVarint,
} from "@x0tta6bl4/core";
import type { AttributeList, Value } from "./attributes.ts";
import type { WordContext } from "./ids.ts";
import type { Instant, TimeAnchor } from "./time.ts";

/** What is written of a span. */
export interface EndedSpan {
  readonly context: WordContext;
  readonly parent: WordContext | undefined;
  readonly name: string;
  /** Of the API: internal is 0. */
  readonly kind: number;
  readonly startTime: Instant;
  readonly endTime: Instant;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
  readonly events: readonly SpanEvent[] | undefined;
  readonly droppedEvents: number;
  readonly links: readonly SpanLink[] | undefined;
  readonly droppedLinks: number;
  readonly statusCode: number;
  readonly statusMessage: string | undefined;
}

export interface SpanEvent {
  readonly name: string;
  readonly time: Instant;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
}

export interface SpanLink {
  readonly context: WordContext;
  readonly attributes: AttributeList;
  readonly droppedAttributes: number;
}

const HAS_IS_REMOTE = 0x100;
const IS_REMOTE = 0x200;
/** Numbers of 8 bytes: identifiers, times, a number's tag each. */
const FIXED_BYTES = 96;

/** Appends the span. A failure in between leaves the writer as it was. */
export function encodeSpan(writer: ByteWriter, span: EndedSpan, anchor: TimeAnchor): void {
  const before = writer.length;
  try {
    writeSpan(writer, span, anchor);
  } catch (error) {
    writer.length = before;
    throw error;
  }
}

function writeSpan(writer: ByteWriter, span: EndedSpan, anchor: TimeAnchor): void {
  reserve(writer, FIXED_BYTES);
  writer.bytes[writer.length++] = 0x12;
  const spanAt = beginDelimited(writer);
  const { context, parent } = span;
  writeTraceId(writer, 0x0a, context);
  writeSpanId(writer, 0x12, context);
  const state = context.traceState?.serialize();
  if (state) writeText(writer, 0x1a, state);
  if (parent !== undefined) writeSpanId(writer, 0x22, parent);
  writeText(writer, 0x2a, span.name);
  reserve(writer, FIXED_BYTES);
  writer.bytes[writer.length++] = 0x30;
  writer.bytes[writer.length++] = span.kind + 1;
  writeTime(writer, 0x39, span.startTime, anchor);
  writeTime(writer, 0x41, span.endTime, anchor);
  writeAttributes(writer, 0x4a, span.attributes);
  writeCount(writer, 0x50, span.droppedAttributes);
  if (span.events !== undefined) for (const event of span.events) writeEvent(writer, event, anchor);
  writeCount(writer, 0x60, span.droppedEvents);
  if (span.links !== undefined) for (const link of span.links) writeLink(writer, link);
  writeCount(writer, 0x70, span.droppedLinks);
  if (span.statusCode !== 0) writeStatus(writer, span.statusCode, span.statusMessage);
  reserve(writer, 7);
  // Field 16, fixed32.
  writer.bytes[writer.length++] = 0x85;
  writer.bytes[writer.length++] = 0x01;
  writeFlags(writer, context.traceFlags, parent?.isRemote === true);
  endDelimited(writer, spanAt);
}

function writeEvent(writer: ByteWriter, event: SpanEvent, anchor: TimeAnchor): void {
  reserve(writer, 12);
  writer.bytes[writer.length++] = 0x5a;
  const at = beginDelimited(writer);
  writeTime(writer, 0x09, event.time, anchor);
  writeText(writer, 0x12, event.name);
  writeAttributes(writer, 0x1a, event.attributes);
  writeCount(writer, 0x20, event.droppedAttributes);
  endDelimited(writer, at);
}

function writeLink(writer: ByteWriter, link: SpanLink): void {
  reserve(writer, 40);
  writer.bytes[writer.length++] = 0x6a;
  const at = beginDelimited(writer);
  const { context } = link;
  writeTraceId(writer, 0x0a, context);
  writeSpanId(writer, 0x12, context);
  const state = context.traceState?.serialize();
  if (state) writeText(writer, 0x1a, state);
  writeAttributes(writer, 0x22, link.attributes);
  writeCount(writer, 0x28, link.droppedAttributes);
  reserve(writer, 5);
  writer.bytes[writer.length++] = 0x35;
  writeFlags(writer, context.traceFlags, context.isRemote);
  endDelimited(writer, at);
}

function writeStatus(writer: ByteWriter, code: number, message: string | undefined): void {
  reserve(writer, 2);
  writer.bytes[writer.length++] = 0x7a;
  const at = beginDelimited(writer);
  if (message) writeText(writer, 0x12, message);
  reserve(writer, 2);
  writer.bytes[writer.length++] = 0x18;
  writer.bytes[writer.length++] = code;
  endDelimited(writer, at);
}

/** Appends each as a KeyValue behind `tag`. */
export function writeAttributes(writer: ByteWriter, tag: number, list: AttributeList): void {
  for (let index = 0; index < list.length; index += 2) {
    reserve(writer, 4);
    writer.bytes[writer.length++] = tag;
    const at = beginDelimited(writer);
    writeText(writer, 0x0a, list[index] as string);
    reserve(writer, 2);
    writer.bytes[writer.length++] = 0x12;
    const valueAt = beginDelimited(writer);
    writeValue(writer, list[index + 1] as Value);
    endDelimited(writer, valueAt);
    endDelimited(writer, at);
  }
}

/** The content of an AnyValue; nothing for null. */
function writeValue(writer: ByteWriter, value: Value): void {
  if (typeof value === "string") writeText(writer, 0x0a, value);
  else if (typeof value === "number") writeNumber(writer, value);
  else if (typeof value === "boolean") {
    reserve(writer, 2);
    writer.bytes[writer.length++] = 0x10;
    writer.bytes[writer.length++] = value ? 1 : 0;
  } else if (value !== null) writeComposite(writer, value);
}

function writeNumber(writer: ByteWriter, value: number): void {
  reserve(writer, 11);
  if (!Number.isInteger(value) || value < -(2 ** 63) || value >= 2 ** 63) {
    writer.bytes[writer.length++] = 0x21;
    writeDouble(writer, value);
    return;
  }
  writer.bytes[writer.length++] = 0x18;
  if (value >= 0) writeVarint(writer, value);
  else writeBigVarint(writer, BigInt(value));
}

function writeComposite(writer: ByteWriter, value: object): void {
  reserve(writer, 2);
  if (value instanceof Uint8Array) {
    writer.bytes[writer.length++] = 0x3a;
    writeVarint(writer, value.length);
    reserve(writer, value.length);
    writer.bytes.set(value, writer.length);
    writer.length += value.length;
    return;
  }
  writer.bytes[writer.length++] = Array.isArray(value) ? 0x2a : 0x32;
  const at = beginDelimited(writer);
  if (!Array.isArray(value))
    writeAttributes(writer, 0x0a, Object.entries(value as object).flat() as AttributeList);
  else
    for (const element of value as readonly Value[]) {
      reserve(writer, 2);
      writer.bytes[writer.length++] = 0x0a;
      const elementAt = beginDelimited(writer);
      writeValue(writer, element);
      endDelimited(writer, elementAt);
    }
  endDelimited(writer, at);
}

function writeText(writer: ByteWriter, tag: number, text: string): void {
  reserve(writer, 1);
  writer.bytes[writer.length++] = tag;
  writeString(writer, text);
}

function writeCount(writer: ByteWriter, tag: number, count: number): void {
  if (count === 0) return;
  reserve(writer, 1);
  writer.bytes[writer.length++] = tag;
  writeVarint(writer, count);
}

function writeTime(writer: ByteWriter, tag: number, time: Instant, anchor: TimeAnchor): void {
  reserve(writer, 9);
  writer.bytes[writer.length] = tag;
  anchor.write(time, writer.bytes, writer.length + 1);
  writer.length += 9;
}

/** There is room. */
function writeFlags(writer: ByteWriter, traceFlags: number, isRemote: boolean): void {
  const { bytes, length } = writer;
  const flags = (traceFlags & 0xff) | HAS_IS_REMOTE | (isRemote ? IS_REMOTE : 0);
  bytes[length] = flags;
  bytes[length + 1] = flags >>> 8;
  bytes[length + 2] = 0;
  bytes[length + 3] = 0;
  writer.length += 4;
}

function writeTraceId(writer: ByteWriter, tag: number, context: WordContext): void {
  const { bytes, length } = writer;
  bytes[length] = tag;
  bytes[length + 1] = 16;
  writeWord(bytes, length + 2, context.trace0);
  writeWord(bytes, length + 6, context.trace1);
  writeWord(bytes, length + 10, context.trace2);
  writeWord(bytes, length + 14, context.trace3);
  writer.length += 18;
}

function writeSpanId(writer: ByteWriter, tag: number, context: WordContext): void {
  reserve(writer, 10);
  const { bytes, length } = writer;
  bytes[length] = tag;
  bytes[length + 1] = 8;
  writeWord(bytes, length + 2, context.span0);
  writeWord(bytes, length + 6, context.span1);
  writer.length += 10;
}

function writeWord(bytes: Uint8Array, at: number, word: number): void {
  bytes[at] = word >>> 24;
  bytes[at + 1] = word >>> 16;
  bytes[at + 2] = word >>> 8;
  bytes[at + 3] = word;
}
