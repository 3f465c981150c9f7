/**
 * The wire format of Protocol Buffers: varints, lengths, doubles
 * (https://protobuf.dev/programming-guides/encoding/). Numbers above 2^53 lose their low bits unless given as bigint.
 */

/** Bytes that grow. What is written stays until `length` is set back. */
export interface ByteWriter {
  bytes: Buffer;
  length: number;
}

export const wireType = { varint: 0, fixed64: 1, bytes: 2, startGroup: 3, endGroup: 4, fixed32: 5 } as const;

export function byteWriter(capacity = 1024): ByteWriter {
  return { bytes: Buffer.allocUnsafeSlow(capacity), length: 0 };
}

export function reserve(writer: ByteWriter, more: number): void {
  const needed = writer.length + more;
  if (needed <= writer.bytes.length) return;
  const grown = Buffer.allocUnsafeSlow(Math.max(needed, writer.bytes.length * 2));
  writer.bytes.copy(grown, 0, 0, writer.length);
  writer.bytes = grown;
}

/** @param value a whole number from 0 on. */
export function writeVarint(writer: ByteWriter, value: number): void {
  reserve(writer, 10);
  const { bytes } = writer;
  if (value < 0x80) {
    bytes[writer.length++] = value;
    return;
  }
  let rest = value;
  while (rest > 0x7fff_ffff) {
    bytes[writer.length++] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  while (rest > 0x7f) {
    bytes[writer.length++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[writer.length++] = rest;
}

export function writeBigVarint(writer: ByteWriter, value: bigint): void {
  reserve(writer, 10);
  let rest = BigInt.asUintN(64, value);
  while (rest > 0x7fn) {
    writer.bytes[writer.length++] = Number(rest & 0x7fn) | 0x80;
    rest >>= 7n;
  }
  writer.bytes[writer.length++] = Number(rest);
}

export function writeDouble(writer: ByteWriter, value: number): void {
  reserve(writer, 8);
  writer.bytes.writeDoubleLE(value, writer.length);
  writer.length += 8;
}

/** Length and UTF-8. */
export function writeString(writer: ByteWriter, text: string): void {
  const { length } = text;
  if (length < 0x80) {
    reserve(writer, length + 1);
    const { bytes } = writer;
    const start = writer.length + 1;
    let index = 0;
    for (; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) break;
      bytes[start + index] = code;
    }
    if (index === length) {
      bytes[writer.length] = length;
      writer.length = start + length;
      return;
    }
  }
  const size = Buffer.byteLength(text);
  writeVarint(writer, size);
  reserve(writer, size);
  writer.length += writer.bytes.write(text, writer.length);
}

/** Begins what has its length before it; give the result to `endDelimited`. */
export function beginDelimited(writer: ByteWriter): number {
  reserve(writer, 1);
  return writer.length++;
}

/** Moves the content where its length takes more than the one byte that was kept free. */
export function endDelimited(writer: ByteWriter, lengthAt: number): void {
  const size = writer.length - lengthAt - 1;
  if (size < 0x80) {
    writer.bytes[lengthAt] = size;
    return;
  }
  const lengthBytes = size < 0x4000 ? 2 : size < 0x20_0000 ? 3 : 5;
  reserve(writer, lengthBytes - 1);
  writer.bytes.copyWithin(lengthAt + lengthBytes, lengthAt + 1, writer.length);
  let rest = size;
  for (let index = 0; index < lengthBytes; index++) {
    writer.bytes[lengthAt + index] = (rest & 0x7f) | (index < lengthBytes - 1 ? 0x80 : 0);
    rest >>>= 7;
  }
  writer.length += lengthBytes - 1;
}

export interface ByteReader {
  readonly bytes: Buffer;
  at: number;
  readonly end: number;
}

/** What a message of a peer says against the format or its limits. */
export class MalformedMessage extends Error {}

export function readVarint(reader: ByteReader): number {
  let value = 0;
  let factor = 1;
  for (let count = 0; count < 10; count++) {
    if (reader.at >= reader.end) throw new MalformedMessage("a number ends early");
    const byte = reader.bytes[reader.at++] as number;
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return value;
    factor *= 128;
  }
  throw new MalformedMessage("a number has more than 10 bytes");
}

/** A part of the reader for what comes next with its length. */
export function readDelimited(reader: ByteReader): ByteReader {
  const size = readVarint(reader);
  if (size > reader.end - reader.at) throw new MalformedMessage("a length goes beyond its message");
  const at = reader.at;
  reader.at += size;
  return { bytes: reader.bytes, at, end: reader.at };
}

export function readDouble(reader: ByteReader): number {
  const at = skipBytes(reader, 8);
  return reader.bytes.readDoubleLE(at);
}

export function skipField(reader: ByteReader, type: number): void {
  if (type === wireType.varint) readVarint(reader);
  else if (type === wireType.bytes) readDelimited(reader);
  else if (type === wireType.fixed64) skipBytes(reader, 8);
  else if (type === wireType.fixed32) skipBytes(reader, 4);
  else throw new MalformedMessage(`wire type ${type} is not in use`);
}

function skipBytes(reader: ByteReader, size: number): number {
  if (size > reader.end - reader.at) throw new MalformedMessage("a field ends early");
  const { at } = reader;
  reader.at += size;
  return at;
}
