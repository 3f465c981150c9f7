import { once } from "node:events";
import { createServer, request } from "node:http";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { describe, expect, test } from "vitest";
import { httpHeads } from "./http.ts";

const bytes = (text: string): Uint8Array => Buffer.from(text, "latin1");
const asked = (line: string) => httpHeads.request(bytes(`${line}\r\nHost: a.test\r\n`).subarray(0, 128));
const answered = (line: string) => httpHeads.answer(bytes(`${line}\r\nServer: x\r\n`).subarray(0, 64));

describe("requests", () => {
  test.each([
    ["GET / HTTP/1.1", "GET", "/"],
    ["POST /api/v1/items HTTP/1.0", "POST", "/api/v1/items"],
    ["PROPFIND /dav/ HTTP/1.1", "PROPFIND", "/dav/"],
    ["OPTIONS * HTTP/1.1", "OPTIONS", "*"],
    ["CONNECT user:secret@host:443 HTTP/1.1", "CONNECT", null],
    ["GET http://user:secret@a.test/path?secret HTTP/1.1", "GET", "/path"],
    ["GET http://a.test HTTP/1.1", "GET", "/"],
    ["GET /search?q=secret HTTP/1.1", "GET", "/search"],
    ["GET /page#secret HTTP/1.1", "GET", "/page"],
    ["GET /cart;jsessionid=secret/x HTTP/1.1", "GET", "/cart"],
    ["GET /a\x1b[2J\x00\xe4\\ HTTP/1.1", "GET", "/a\\027[2J\\000\\228\\\\"],
    ["GET /%1b%5b HTTP/1.1", "GET", "/%1b%5b"],
    ["GET /old", "GET", "/old"],
  ])("%j", (line, method, target) => expect(asked(line)).toEqual({ method, target, isAnswered: true }));

  test("a long path is cut", () => {
    const target = asked(`GET /${"a".repeat(300)} HTTP/1.1`)?.target;
    expect(target).toBe(`/${"a".repeat(111)}…`);
    expect(httpHeads.request(bytes("GET /abc"))?.target).toBe("/abc…");
  });

  test.each([
    "PRI * HTTP/2.0",
    "get / HTTP/1.1",
    "GET",
    "GET secret",
    "GET *secret HTTP/1.1",
    "",
    "\x16\x03\x01",
    "HELO a",
  ])("%j is none", (line) => expect(asked(line)).toBeUndefined());
});

describe("answers", () => {
  test.each([
    ["HTTP/1.1 200 OK", "200", false, false],
    ["HTTP/1.0 404 Not Found", "404", false, false],
    ["HTTP/1.1 503 ", "503", true, false],
    ["HTTP/1.1 100 Continue", "100", false, true],
    ["HTTP/1.1 103 Early Hints", "103", false, true],
    ["HTTP/1.1 101 Switching Protocols", "101", false, false],
  ])("%j", (line, status, isError, isInterim) =>
    expect(answered(line)).toEqual({ status, isError, isInterim }),
  );

  test.each(["HTTP/2 200", "HTTP/1.1 2x0", "HTTP/1.1 900 ", "HTTP/1.1", "", "SSH-2.0-x"])(
    "%j is none",
    (line) => expect(httpHeads.answer(bytes(line))).toBeUndefined(),
  );
});

test("what Node's client and server really send", async () => {
  const server = createServer((_, response) => response.writeHead(418).end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const sent: Buffer[] = [];
  const got: Buffer[] = [];
  const proxy = createTcpServer((near) => {
    const far = connect((server.address() as AddressInfo).port, "127.0.0.1");
    near.on("data", (chunk: Buffer) => sent.push(chunk)).pipe(far);
    far.on("data", (chunk: Buffer) => got.push(chunk)).pipe(near);
  }).listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { port } = proxy.address() as AddressInfo;
  const [response] = await once(
    request({ port, method: "DELETE", path: "/x?secret", agent: false }).end(),
    "response",
  );
  response.resume();
  await once(response, "close");
  expect(httpHeads.request(Buffer.concat(sent).subarray(0, 128))).toMatchObject({
    method: "DELETE",
    target: "/x",
  });
  expect(httpHeads.answer(Buffer.concat(got).subarray(0, 64))).toMatchObject({ status: "418" });
  proxy.close();
  server.close();
});
