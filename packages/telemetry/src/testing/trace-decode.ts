/** Reads an ExportTraceServiceRequest into plain objects, strictly: an unknown field or wire type is an error. */
import {
  type ByteReader,
  MalformedMessage,
  readDelimited,
  readDouble,
  readVarint,
  wireType,
} from "@x0tta6bl4/core";

export type Decoded = { [name: string]: unknown };

/** Name, how it is read, whether there may be several. */
type Field = readonly [name: string, read: (reader: ByteReader) => unknown, repeated?: true];
type Fields = Readonly<Record<number, Field>>;

const text = (reader: ByteReader): string => bytesOf(reader).toString("utf8");
const hex = (reader: ByteReader): string => bytesOf(reader).toString("hex");
const fixed64 = (reader: ByteReader): bigint => {
  reader.at += 8;
  return reader.bytes.readBigUInt64LE(reader.at - 8);
};
const fixed32 = (reader: ByteReader): number => {
  reader.at += 4;
  return reader.bytes.readUInt32LE(reader.at - 4);
};
/** Two's complement of 64 bits. */
const int64 = (reader: ByteReader): bigint => {
  let value = 0n;
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.bytes[reader.at++] as number;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asIntN(64, value);
  }
};

function bytesOf(reader: ByteReader): Buffer {
  const { at, end } = readDelimited(reader);
  return reader.bytes.subarray(at, end);
}

const keyValue: Fields = { 1: ["key", text], 2: ["value", (reader) => message(reader, anyValue)] };
const anyValue: Fields = {
  1: ["string", text],
  2: ["bool", (reader) => readVarint(reader) !== 0],
  3: ["int", int64],
  4: ["double", readDouble],
  5: ["array", (reader) => message(reader, { 1: ["values", (one) => message(one, anyValue), true] })],
  6: ["map", (reader) => message(reader, { 1: ["values", (one) => message(one, keyValue), true] })],
  7: ["bytes", hex],
};
const attributes: Field = ["attributes", (reader) => message(reader, keyValue), true];
const resource: Fields = { 1: attributes, 2: ["droppedAttributes", readVarint] };
const scope: Fields = {
  1: ["name", text],
  2: ["version", text],
  3: attributes,
  4: ["droppedAttributes", readVarint],
};
const event: Fields = {
  1: ["time", fixed64],
  2: ["name", text],
  3: attributes,
  4: ["droppedAttributes", readVarint],
};
const link: Fields = {
  1: ["traceId", hex],
  2: ["spanId", hex],
  3: ["traceState", text],
  4: attributes,
  5: ["droppedAttributes", readVarint],
  6: ["flags", fixed32],
};
const status: Fields = { 2: ["message", text], 3: ["code", readVarint] };
const span: Fields = {
  1: ["traceId", hex],
  2: ["spanId", hex],
  3: ["traceState", text],
  4: ["parentSpanId", hex],
  5: ["name", text],
  6: ["kind", readVarint],
  7: ["start", fixed64],
  8: ["end", fixed64],
  9: attributes,
  10: ["droppedAttributes", readVarint],
  11: ["events", (reader) => message(reader, event), true],
  12: ["droppedEvents", readVarint],
  13: ["links", (reader) => message(reader, link), true],
  14: ["droppedLinks", readVarint],
  15: ["status", (reader) => message(reader, status)],
  16: ["flags", fixed32],
};
const scopeSpans: Fields = {
  1: ["scope", (reader) => message(reader, scope)],
  2: ["spans", (reader) => message(reader, span), true],
  3: ["schemaUrl", text],
};
const resourceSpans: Fields = {
  1: ["resource", (reader) => message(reader, resource)],
  2: ["scopeSpans", (reader) => message(reader, scopeSpans), true],
  3: ["schemaUrl", text],
};

const typeOf = new Map<unknown, number>([
  [fixed64, wireType.fixed64],
  [readDouble, wireType.fixed64],
  [fixed32, wireType.fixed32],
  [int64, wireType.varint],
  [readVarint, wireType.varint],
]);

export interface DecodedSpan extends Decoded {
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
}

export function decodeTraces(bytes: Uint8Array): Decoded {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = { bytes: buffer, at: 0, end: buffer.length };
  return content(reader, { 1: ["resourceSpans", (one) => message(one, resourceSpans), true] });
}

/** All spans of a request, whatever scope made them. */
export function decodeSpans(bytes: Uint8Array): DecodedSpan[] {
  const { resourceSpans: resources = [] } = decodeTraces(bytes) as { resourceSpans?: Decoded[] };
  return resources
    .flatMap(({ scopeSpans: scopes = [] }) => scopes as { spans?: DecodedSpan[] }[])
    .flatMap(({ spans = [] }) => spans);
}

function message(reader: ByteReader, fields: Fields): Decoded {
  return content(readDelimited(reader), fields);
}

function content(reader: ByteReader, fields: Fields): Decoded {
  const decoded: Decoded = {};
  while (reader.at < reader.end) {
    const tag = readVarint(reader);
    const field = fields[tag >>> 3];
    if (field === undefined) throw new MalformedMessage(`field ${tag >>> 3} is not known`);
    const [name, read, repeated] = field;
    const type = typeOf.get(read) ?? (name === "bool" ? wireType.varint : wireType.bytes);
    if ((tag & 7) !== type) throw new MalformedMessage(`${name} has wire type ${tag & 7}`);
    const value = read(reader);
    if (repeated) decoded[name] = [...((decoded[name] as unknown[] | undefined) ?? []), value];
    else decoded[name] = value;
  }
  if (reader.at !== reader.end) throw new MalformedMessage("a field goes beyond its message");
  return decoded;
}
