import { byteWriter, MalformedMessage, seededRandom, writeVarint } from "@x0tta6bl4/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { decode, encode, type Message, message, messageLimits, timestampText, type Values } from "./codec.ts";
import {
  filterMessage,
  flowMessage,
  getFlowsRequest,
  getFlowsResponse,
  serverStatusResponse,
} from "./schema.ts";

function bytesOf(table: Message, values: Values): Buffer {
  const writer = byteWriter(16);
  encode(writer, table, values);
  return writer.bytes.subarray(0, writer.length);
}

const hex = (bytes: Buffer): string => bytes.toString("hex");

test("the examples of the encoding's documentation", () => {
  expect(hex(bytesOf(message("Test1", { a: [1, "uint32"] }), { a: 150 }))).toBe("089601");
  expect(hex(bytesOf(message("Test2", { b: [2, "string"] }), { b: "testing" }))).toBe("120774657374696e67");
  const test1 = message("Test1", { a: [1, "uint32"] });
  expect(hex(bytesOf(message("Test3", { c: [3, { message: test1 }] }), { c: { a: 150 } }))).toBe(
    "1a03089601",
  );
  const test5 = message("Test5", { f: [6, "uint32", "repeated"] });
  expect(decode(test5, Buffer.from("3206038e029ea705", "hex"))).toEqual({ f: [3, 270, 86942] });
});

test.each<[string, Values, string]>([
  ["zero values", { node_name: "", time: undefined }, ""],
  ["a message that is present", { flow: {} }, "0a00"],
  ["a wrapped false", { flow: { is_reply: false } }, "0a03d20100"],
  ["a wrapped true", { flow: { is_reply: true } }, "0a05d201020801"],
  ["microseconds of a timestamp", { time: 1000.25 }, "ca3e0608011090a10f"],
])("%s", (_, values, expected) => {
  expect(hex(bytesOf(getFlowsResponse, values))).toBe(expected);
});

/** Values of a table's message as a decoder gives them: what is absent or zero is not there. */
function valuesOf(table: Message): fc.Arbitrary<Values> {
  const fields = table.fields.map(({ name, type, repeated }) => {
    const one = (): fc.Arbitrary<Values[string]> => {
      if (type === "string" || type === "anyString") return fc.string({ unit: "binary", maxLength: 200 });
      if (type === "bool") return fc.boolean();
      if (type === "double") return fc.double({ noNaN: true });
      if (type === "uint32") return fc.nat(0xffff_ffff);
      if (type === "uint64") return fc.maxSafeNat();
      if (type === "timestamp") return fc.nat(2 ** 31).map((seconds) => seconds * 1000 + 0.5);
      if (typeof type === "object" && "wrapped" in type)
        return type.wrapped === "bool" ? fc.boolean() : fc.nat(0xffff_ffff);
      if (typeof type === "object" && "enumeration" in type)
        return fc.constantFrom(...Object.values(type.enumeration.numbers));
      return valuesOf((type as { message: Message }).message);
    };
    const hasPresence = typeof type === "object" && !("enumeration" in type);
    const kept = (value: Values[string]): boolean =>
      hasPresence ||
      type === "timestamp" ||
      type === "anyString" ||
      !(value === 0 || value === "" || value === false);
    const arbitrary = repeated ? fc.array(one(), { minLength: 1, maxLength: 3 }) : one().filter(kept);
    return [name, fc.option(arbitrary, { nil: undefined, freq: 2 })] as const;
  });
  return fc.record(Object.fromEntries(fields)).map((values) => {
    const present = Object.entries(values).filter(
      ([, value]) => value !== undefined && !Object.is(value, -0),
    );
    return Object.fromEntries(present);
  });
}

test.each([flowMessage, filterMessage, getFlowsRequest, getFlowsResponse, serverStatusResponse])(
  "what is encoded is decoded: $name",
  (table) => {
    fc.assert(
      fc.property(valuesOf(table), (values) => {
        expect(decode(table, bytesOf(table, values))).toEqual(values);
      }),
      { numRuns: 200, seed: 1 },
    );
  },
);

test("numbers beyond 2^53 go as they are, and come back rounded", () => {
  const table = message("Big", { n: [1, "uint64"] });
  const bytes = bytesOf(table, { n: 2n ** 64n - 1n });
  expect(hex(bytes)).toBe("08ffffffffffffffffff01");
  expect(decode(table, bytes)).toEqual({ n: 2 ** 64 });
});

test("fields that a table does not have are told and skipped", () => {
  const wide = message("M", { a: [1, "uint32"], b: [9, "double"], c: [100_000, "string"] });
  const narrow = message("M", { a: [1, "uint32"] });
  const unknown: number[] = [];
  const bytes = bytesOf(wide, { c: "x", b: 1.5, a: 7 });
  expect(decode(narrow, bytes, { unknown: (_, number) => unknown.push(number) })).toEqual({ a: 7 });
  expect(unknown).toEqual([9, 100_000]);
});

test("limits", () => {
  expect(() => decode(flowMessage, Buffer.alloc(messageLimits.bytes + 1))).toThrow(/more than 262144/);
  const writer = byteWriter();
  const many = messageLimits.values + 1;
  writeVarint(writer, 15 * 8 + 2);
  writeVarint(writer, many);
  const packed = Buffer.concat([writer.bytes.subarray(0, writer.length), Buffer.alloc(many, 1)]);
  expect(() => decode(filterMessage, packed)).toThrow(/more than 16384 values/);
  expect(() => decode(filterMessage, Buffer.from("08".repeat(many * 2), "hex"))).toThrow(MalformedMessage);
});

test.each([
  ["08ffffffffffffffffffff01", /more than 10 bytes/],
  ["08ff", /a number ends early/],
  ["2a05", /a length goes beyond its message/],
  ["0b", /wire type 3/],
  ["2801", /blacklist has wire type 0, not 2/],
  ["0f", /number has wire type 7, not 0/],
  ["f90600", /a field ends early/],
  ["fb06", /wire type 3 is not in use/],
])("%s is refused", (bytes, reason) => {
  const parse = () => decode(getFlowsRequest, Buffer.from(bytes, "hex"));
  expect(parse).toThrow(MalformedMessage);
  expect(parse).toThrow(reason);
});

test("20,000 damaged requests are decoded or refused, nothing else", () => {
  const random = seededRandom(7);
  const sound = fc
    .sample(valuesOf(getFlowsRequest), { numRuns: 200, seed: 3 })
    .map((values) => bytesOf(getFlowsRequest, values));
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(sound[random.below(sound.length)] as Buffer);
    for (let count = random.below(4); count >= 0 && bytes.length > 0; count--)
      bytes[random.below(bytes.length)] = random.below(256);
    try {
      decode(getFlowsRequest, bytes.subarray(0, bytes.length - random.below(3)));
    } catch (error) {
      if (!(error instanceof MalformedMessage)) throw error;
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(2000);
});

test.each([
  [0, "1970-01-01T00:00:00Z"],
  [1_763_820_202_123, "2025-11-22T14:03:22.123Z"],
  [1_763_820_202_123.25, "2025-11-22T14:03:22.123250Z"],
  [1_763_820_202_000.001, "2025-11-22T14:03:22.000001Z"],
])("%d is %s", (milliseconds, text) => {
  expect(timestampText(milliseconds)).toBe(text);
});
