/**
 * Messages of Protocol Buffers (proto3) after a table of their fields: objects ⇄ bytes, and objects → the JSON of
 * protobuf (https://protobuf.dev/programming-guides/json/) under the names of the .proto file.
 *
 * In objects an enum is its number, a timestamp Unix milliseconds with fraction, a wrapper (BoolValue, …) its plain
 * value. A field that is absent or has its type's zero value is not written, a message that is present always is.
 */
import {
  type ByteReader,
  type ByteWriter,
  beginDelimited,
  endDelimited,
  MalformedMessage,
  readDelimited,
  readDouble,
  readVarint,
  skipField,
  wireType,
  writeBigVarint,
  writeDouble,
  writeString,
  writeVarint,
} from "@x0tta6bl4/core";

/** What a message of a peer may ask of the reader. How deep messages lie in one another, their tables bound. */
export const messageLimits = {
  /** Bytes of a request: 1,000 filters of the longest names and patterns; the answer's size is ours. */
  bytes: 262_144,
  /** Values in all: far beyond what a person or a program asks for, and each costs time on every flow. */
  values: 16_384,
} as const;

export interface Enumeration {
  readonly numbers: Readonly<Record<string, number>>;
  readonly names: ReadonlyMap<number, string>;
}

type Scalar = "string" | "uint32" | "uint64" | "bool" | "double" | "timestamp" | "anyString";
type Wrapped = { readonly wrapped: "bool" | "uint32" };
type FieldType = Scalar | Wrapped | { readonly enumeration: Enumeration } | { readonly message: Message };

/** How a type is written. */
type Form = "varint" | "string" | "double" | "timestamp" | "anyString" | "wrapper" | "message";

interface Field {
  readonly name: string;
  readonly number: number;
  readonly type: FieldType;
  readonly repeated: boolean;
  readonly form: Form;
  /** Number and wire type, as they come before each value. */
  readonly tag: number;
  readonly inner: Message | undefined;
}

export interface Message {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly byNumber: ReadonlyMap<number, Field>;
  readonly byName: ReadonlyMap<string, Field>;
}

// biome-ignore lint/suspicious/noExplicitAny: the tables check shapes, not the compiler.
export type Values = Record<string, any>;

export type FieldSpec = readonly [number, FieldType] | readonly [number, FieldType, "repeated"];

export function message(name: string, specs: Readonly<Record<string, FieldSpec>>): Message {
  const fields = Object.entries(specs).map(([field, [number, type, repeated]]) => {
    const form = formOf(type);
    return {
      name: field,
      number,
      type,
      repeated: repeated !== undefined,
      form,
      tag: number * 8 + wireTypeOf(form),
      inner: typeof type === "object" && "message" in type ? type.message : undefined,
    };
  });
  return {
    name,
    fields,
    byNumber: new Map(fields.map((field) => [field.number, field])),
    byName: new Map(fields.map((field) => [field.name, field])),
  };
}

export function enumeration(numbers: Readonly<Record<string, number>>): Enumeration {
  return { numbers, names: new Map(Object.entries(numbers).map(([name, number]) => [number, name])) };
}

export function encode(writer: ByteWriter, { fields }: Message, values: Values): void {
  for (const field of fields) {
    const value = values[field.name];
    if (value === undefined) continue;
    if (field.repeated) for (const one of value) encodeField(writer, field, one, true);
    else encodeField(writer, field, value, false);
  }
}

function formOf(type: FieldType): Form {
  if (typeof type === "object")
    return "message" in type ? "message" : "wrapped" in type ? "wrapper" : "varint";
  return type === "uint32" || type === "uint64" || type === "bool" ? "varint" : type;
}

function wireTypeOf(form: Form): number {
  return form === "varint" ? wireType.varint : form === "double" ? wireType.fixed64 : wireType.bytes;
}

function encodeField(
  writer: ByteWriter,
  { form, tag, inner }: Field,
  value: Values[string],
  keepZero: boolean,
): void {
  if (form === "varint") {
    if (!keepZero && !value) return;
    writeVarint(writer, tag);
    if (typeof value === "bigint") writeBigVarint(writer, value);
    else writeVarint(writer, Number(value));
    return;
  }
  if (form === "string") {
    if (!keepZero && value === "") return;
    writeVarint(writer, tag);
    writeString(writer, value);
    return;
  }
  if (form === "double") {
    if (!keepZero && value === 0) return;
    writeVarint(writer, tag);
    writeDouble(writer, value);
    return;
  }
  writeVarint(writer, tag);
  const start = beginDelimited(writer);
  if (form === "message") encode(writer, inner as Message, value);
  else if (form === "timestamp") encodeTimestamp(writer, value);
  else if (form === "anyString") encodeAnyString(writer, value);
  else if (value) {
    writeVarint(writer, 1 * 8 + wireType.varint);
    writeVarint(writer, Number(value));
  }
  endDelimited(writer, start);
}

/** Seconds and nanoseconds; doubles of Unix milliseconds are exact to a quarter of a microsecond. */
function encodeTimestamp(writer: ByteWriter, milliseconds: number): void {
  const [seconds, microseconds] = secondsOf(milliseconds);
  if (seconds !== 0) {
    writeVarint(writer, 1 * 8 + wireType.varint);
    writeVarint(writer, seconds);
  }
  if (microseconds !== 0) {
    writeVarint(writer, 2 * 8 + wireType.varint);
    writeVarint(writer, microseconds * 1000);
  }
}

function secondsOf(milliseconds: number): [seconds: number, microseconds: number] {
  const microseconds = Math.round(Math.max(0, milliseconds) * 1000);
  return [Math.floor(microseconds / 1e6), microseconds % 1e6];
}

const ANY_STRING = "type.googleapis.com/google.protobuf.StringValue";

/** google.protobuf.Any with a StringValue in it: the one type that every reader of Hubble's API knows. */
function encodeAnyString(writer: ByteWriter, text: string): void {
  writeVarint(writer, 1 * 8 + wireType.bytes);
  writeString(writer, ANY_STRING);
  writeVarint(writer, 2 * 8 + wireType.bytes);
  const start = beginDelimited(writer);
  writeVarint(writer, 1 * 8 + wireType.bytes);
  writeString(writer, text);
  endDelimited(writer, start);
}

export interface DecodeOptions {
  /** Called for each field that the table does not have; the field is skipped. */
  readonly unknown?: (message: Message, number: number) => void;
}

/** @throws MalformedMessage */
export function decode(message: Message, bytes: Buffer, options: DecodeOptions = {}): Values {
  if (bytes.length > messageLimits.bytes)
    throw new MalformedMessage(`${bytes.length} bytes are more than ${messageLimits.bytes}`);
  return decodeMessage(message, { bytes, at: 0, end: bytes.length }, { ...options, values: 0 });
}

interface Decoding extends DecodeOptions {
  values: number;
}

function decodeMessage(message: Message, reader: ByteReader, state: Decoding): Values {
  const values: Values = {};
  while (reader.at < reader.end) {
    const tag = readVarint(reader);
    const number = Math.floor(tag / 8);
    const type = tag % 8;
    if (++state.values > messageLimits.values)
      throw new MalformedMessage(`there are more than ${messageLimits.values} values`);
    const field = message.byNumber.get(number);
    if (field === undefined) {
      state.unknown?.(message, number);
      skipField(reader, type);
    } else if (field.repeated) {
      values[field.name] ??= [];
      const into = values[field.name];
      if (type === wireType.bytes && field.form === "varint") {
        const packed = readDelimited(reader);
        while (packed.at < packed.end) {
          if (++state.values > messageLimits.values)
            throw new MalformedMessage(`there are more than ${messageLimits.values} values`);
          into.push(decodeValue(field, wireType.varint, packed, state));
        }
      } else into.push(decodeValue(field, type, reader, state));
    } else values[field.name] = decodeValue(field, type, reader, state);
  }
  return values;
}

function decodeValue(
  { name, type: kind, form, inner: table }: Field,
  type: number,
  reader: ByteReader,
  state: Decoding,
): Values[string] {
  const expected = wireTypeOf(form);
  if (type !== expected) throw new MalformedMessage(`${name} has wire type ${type}, not ${expected}`);
  if (form === "varint") return kind === "bool" ? readVarint(reader) !== 0 : readVarint(reader);
  if (form === "double") return readDouble(reader);
  const inner = readDelimited(reader);
  if (form === "string") return inner.bytes.toString("utf8", inner.at, inner.end);
  if (form === "message") return decodeMessage(table as Message, inner, state);
  if (form === "timestamp") {
    const { seconds = 0, nanos = 0 } = decodeMessage(timestampMessage, inner, state);
    return seconds * 1000 + nanos / 1e6;
  }
  if (form === "anyString") return decodeMessage(anyMessage, inner, state)["value"]?.value ?? "";
  const { value = 0 } = decodeMessage(wrapperMessage, inner, state);
  return typeof kind === "object" && "wrapped" in kind && kind.wrapped === "bool" ? value !== 0 : value;
}

const wrapperMessage = message("Value", { value: [1, "uint64"] });
const timestampMessage = message("Timestamp", { seconds: [1, "uint64"], nanos: [2, "uint32"] });
const anyMessage = message("Any", {
  type_url: [1, "string"],
  value: [2, { message: message("StringValue", { value: [1, "string"] }) }],
});

/** An object for `JSON.stringify` in the form of protobuf's JSON, fields in the order of the table. */
export function jsonOf({ fields }: Message, values: Values): Values {
  const json: Values = {};
  for (const field of fields) {
    const value = values[field.name];
    if (value === undefined) continue;
    if (field.repeated) {
      if (value.length > 0) json[field.name] = value.map((one: Values[string]) => jsonValue(field.type, one));
    } else if (value || hasPresence(field.type)) json[field.name] = jsonValue(field.type, value);
  }
  return json;
}

/** Whether a zero value is told from an absent one: of messages, wrappers among them. */
function hasPresence(type: FieldType): boolean {
  return typeof type === "object" && !("enumeration" in type);
}

function jsonValue(type: FieldType, value: Values[string]): Values[string] {
  if (type === "timestamp") return timestampText(value);
  if (type === "uint64") return String(value);
  if (type === "anyString") return { "@type": ANY_STRING, value };
  if (typeof type === "string" || "wrapped" in type) return value;
  if ("enumeration" in type) return type.enumeration.names.get(value) ?? value;
  return jsonOf(type.message, value);
}

/** RFC 3339 with three or six digits of a second, none where they are zero. */
export function timestampText(milliseconds: number): string {
  const [seconds, microseconds] = secondsOf(milliseconds);
  const whole = new Date(seconds * 1000).toISOString().slice(0, 19);
  if (microseconds === 0) return `${whole}Z`;
  const digits = String(microseconds).padStart(6, "0");
  return `${whole}.${digits.endsWith("000") ? digits.slice(0, 3) : digits}Z`;
}
