import { describe, expect, test } from "vitest";
import { bytesOf } from "../testing/frames.ts";
import { postgresqlHeads } from "./postgresql.ts";

const be32 = (value: number): number[] => [
  value >>> 24,
  (value >>> 16) & 0xff,
  (value >>> 8) & 0xff,
  value & 0xff,
];
const message = (type: string, body: string | Uint8Array): Uint8Array =>
  bytesOf(Buffer.from(type), be32(body.length + 4), Buffer.from(body));
const first = (code: number, rest = ""): Uint8Array =>
  bytesOf(be32(8 + rest.length), be32(code), Buffer.from(rest));
const asked = (bytes: Uint8Array) => postgresqlHeads.request(bytes.subarray(0, 128));
const failure = message("E", 'SERROR\0VERROR\0C42P01\0Mrelation "secret" does not exist\0\0');

describe("requests", () => {
  test.each<[string, Uint8Array, string, boolean]>([
    ["a simple query", message("Q", "select * from secret\0"), "SELECT", true],
    ["Parse, named", message("P", "stmt1\0UPDATE t SET x = $1\0\0\0"), "UPDATE", true],
    ["Parse without a statement", message("P", "stmt1"), "OTHER", true],
    ["Bind", message("B", "\0stmt1\0\0\0\0\0\0\0"), "EXECUTE", true],
    ["Sync", message("S", ""), "SYNC", true],
    ["Terminate", message("X", ""), "TERMINATE", false],
    ["CopyData", message("d", "secret"), "COPY", false],
    ["a password", message("p", "secret\0"), "AUTHENTICATE", true],
    ["start", first(196_608, "user\0me\0\0"), "STARTUP", true],
    ["TLS?", first(80_877_103), "SSLREQUEST", true],
    ["cancel", first(80_877_102, "12345678"), "CANCEL", false],
  ])("%s", (_, bytes, method, isAnswered) =>
    expect(asked(bytes)).toEqual({ method, target: null, isAnswered }),
  );

  test.each<[string, Uint8Array]>([
    ["nothing", new Uint8Array(0)],
    ["HTTP", Buffer.from("GET / HTTP/1.1")],
    ["a length of 3", bytesOf(Buffer.from("Q"), be32(3))],
    ["an unknown start", first(12)],
    ["TLS", Uint8Array.of(22, 3, 1, 0, 100, 1)],
  ])("%s is none", (_, bytes) => expect(asked(bytes)).toBeUndefined());

  test("the statement ends where its message ends", () => {
    expect(asked(bytesOf(message("Q", "\0"), message("Q", "SELECT 1\0")))?.method).toBe("OTHER");
  });
});

describe("answers", () => {
  test.each<[string, Uint8Array, string | null, boolean, boolean]>([
    ["rows", message("T", "\0\x01"), null, false, false],
    ["an error", failure, "42P01", true, false],
    [
      "an error after Parse and Bind",
      bytesOf(message("1", ""), message("2", ""), failure),
      "42P01",
      true,
      false,
    ],
    ["an error whose code is cut off", failure.subarray(0, 18), null, true, false],
    ["yes to TLS", Buffer.from("S"), null, false, false],
    ["a notification", message("A", "\0\0\0\x01channel\0secret\0"), null, false, true],
    [
      "a notification, then rows",
      bytesOf(message("A", "\0\0\0\x01c\0\0"), message("T", "\0")),
      null,
      false,
      false,
    ],
  ])("%s", (_, bytes, status, isError, isInterim) =>
    expect(postgresqlHeads.answer(bytes.subarray(0, 64))).toEqual({ status, isError, isInterim }),
  );

  test("none", () => {
    for (const text of ["", "HTTP/1.1 200", "xxxxxxxx"])
      expect(postgresqlHeads.answer(Buffer.from(text))).toBeUndefined();
  });
});
