import { describe, expect, test } from "vitest";
import { redisHeads } from "./redis.ts";

describe("requests", () => {
  test.each([
    ["*2\r\n$3\r\nGET\r\n$6\r\nsecret\r\n", "GET"],
    ["*3\r\n$3\r\nset\r\n$1\r\nk\r\n", "SET"],
    ["*2\r\n$9\r\nft.search\r\n", "FT.SEARCH"],
    ["*1\r\n$7\r\nEVAL_RO\r\n", "EVAL_RO"],
    ["*1\r\n$6\r\nsecret\r\n", "OTHER"],
    ["*1\r\n$3\r\nGE", "OTHER"],
    ["PING\r\n", "PING"],
    ["get secret\r\n", "GET"],
  ])("%j", (text, method) =>
    expect(redisHeads.request(Buffer.from(text))).toEqual({ method, target: null, isAnswered: true }),
  );

  test.each([
    "",
    "*",
    "*2\r\n",
    "*2\r\n:3\r\n",
    "*x\r\n$3\r\nGET\r\n",
    "secret\r\n",
    "*9999999999\r\n$3\r\nGET\r\n",
    "+OK",
  ])("%j is none", (text) => expect(redisHeads.request(Buffer.from(text))).toBeUndefined());
});

describe("answers", () => {
  test.each([
    ["+OK\r\n", null, false, false],
    ["$-1\r\n", null, false, false],
    ["%7\r\n", null, false, false],
    ["-ERR unknown command 'secret'\r\n", "ERR", true, false],
    ["-WRONGTYPE Operation\r\n", "WRONGTYPE", true, false],
    ["-MOVED 3999 127.0.0.1:6381\r\n", "MOVED", true, false],
    ["-secret\r\n", "ERR", true, false],
    ["!21\r\nSYNTAX invalid syntax\r\n", "SYNTAX", true, false],
    [">3\r\n$7\r\nmessage\r\n", null, false, true],
  ])("%j", (text, status, isError, isInterim) =>
    expect(redisHeads.answer(Buffer.from(text))).toEqual({ status, isError, isInterim }),
  );

  test("none", () => {
    for (const text of ["", "HTTP/1.1 200 OK", "\0"])
      expect(redisHeads.answer(Buffer.from(text))).toBeUndefined();
  });
});
