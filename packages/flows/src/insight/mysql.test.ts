import { describe, expect, test } from "vitest";
import { bytesOf } from "../testing/frames.ts";
import { mysqlHeads } from "./mysql.ts";

const packet = (sequence: number, ...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array => {
  const body = bytesOf(...parts);
  return bytesOf([body.length & 0xff, body.length >>> 8, 0, sequence], body);
};
const text = (value: string): Uint8Array => Buffer.from(value);
const ssl = packet(1, [0x85, 0xae, 0x0f, 0], new Uint8Array(28));

describe("requests", () => {
  test.each<[string, Uint8Array, string, boolean]>([
    ["a query", packet(0, [3], text("select secret from t")), "SELECT", true],
    ["a query with attributes of none", packet(0, [3, 0, 1], text("INSERT INTO t")), "INSERT", true],
    ["a query with attributes", packet(0, [3, 1, 1, 0, 1, 15], text("SELECT 1")), "OTHER", true],
    ["prepare", packet(0, [22], text("update t set x=?")), "UPDATE", true],
    ["execute", packet(0, [23, 1, 0, 0, 0]), "EXECUTE", true],
    ["ping", packet(0, [14]), "PING", true],
    ["quit", packet(0, [1]), "QUIT", false],
    ["a closed statement", packet(0, [25, 1, 0, 0, 0]), "CLOSE", false],
    ["a login", packet(1, [0x85, 0xa6, 0x0f, 0], new Uint8Array(60)), "LOGIN", true],
    ["TLS!", ssl, "SSLREQUEST", false],
  ])("%s", (_, bytes, method, isAnswered) =>
    expect(mysqlHeads.request(bytes.subarray(0, 128))).toEqual({ method, target: null, isAnswered }),
  );

  test.each<[string, Uint8Array]>([
    ["nothing", new Uint8Array(0)],
    ["an empty packet", packet(0)],
    ["an unknown command", packet(0, [99])],
    ["HTTP", text("GET / HTTP/1.1")],
  ])("%s is none", (_, bytes) => expect(mysqlHeads.request(bytes)).toBeUndefined());
});

describe("answers", () => {
  test.each<[string, Uint8Array, string | null, boolean, boolean]>([
    ["OK", packet(1, [0, 0, 0, 2, 0, 0, 0]), null, false, false],
    ["rows", packet(1, [3]), null, false, false],
    ["an error", packet(1, [0xff, 0x7a, 0x04], text("#42S02Table 'secret'")), "1146", true, false],
    ["too many connections", packet(0, [0xff, 0x10, 0x04], text("Too many")), "1040", true, false],
    ["the greeting", packet(0, [10], text("8.4.0\0")), null, false, true],
  ])("%s", (_, bytes, status, isError, isInterim) =>
    expect(mysqlHeads.answer(bytes.subarray(0, 64))).toEqual({ status, isError, isInterim }),
  );

  test("none", () => {
    for (const bytes of [new Uint8Array(0), packet(0, [7]), packet(1, [0xff])])
      expect(mysqlHeads.answer(bytes)).toBeUndefined();
  });
});
