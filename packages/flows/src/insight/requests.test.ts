import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { requestHeads, requestProtocols } from "./requests.ts";
import { mutated, shownText } from "./testing/mutation.ts";

const samples = [
  "GET /path/of/it?query HTTP/1.1\r\nHost: a\r\n\r\n",
  "OPTIONS http://a.test/x HTTP/1.1\r\n",
  "HTTP/1.1 500 Internal Server Error\r\n",
  "Q\0\0\0\x0dSELECT 1\0",
  "P\0\0\0\x1fname\0/* c */ INSERT INTO t\0\0\0",
  "E\0\0\0\x20SERROR\0VERROR\0C42P01\0Mgone\0\0",
  "\x12\0\0\0\x03\0\x01SELECT 1 FROM t",
  "\x0f\0\0\x01\xff\x7a\x04#42S02Table",
  "*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n",
  "-WRONGTYPE Operation against a key\r\n",
].map((text) => Buffer.from(text, "latin1"));

test.each(requestProtocols)("fuzzing %s: 100,000 mutated heads", (protocol) => {
  const random = seededRandom(80);
  const { request, answer, isRequest } = requestHeads[protocol];
  let read = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutated(random, samples);
    const asked = request(bytes.subarray(0, 128));
    const answered = answer(bytes.subarray(0, 64));
    if (asked !== undefined || answered !== undefined) read++;
    const isShown =
      /^[A-Z_.]{1,24}$/.test(asked?.method ?? "GET") &&
      shownText.test(asked?.target ?? "") &&
      (asked?.target ?? "").length <= 512 &&
      /^[0-9A-Za-z]{0,16}$/.test(answered?.status ?? "");
    if (!isShown) expect.fail(`round ${round}: ${JSON.stringify([asked, answered])}`);
    if (isRequest !== undefined && isRequest(bytes.subarray(0, 128)) !== (asked !== undefined))
      expect.fail(`round ${round}: ${JSON.stringify(asked)}, unlike isRequest`);
  }
  expect(read).toBeGreaterThan(5000);
});

test("no word that a user chose leaves a parser of databases", () => {
  const random = seededRandom(81);
  const secret = "hunter2";
  const statements = [
    `Q\0\0\0\x20${secret}\0`,
    `*1\r\n$7\r\n${secret}\r\n`,
    `\x09\0\0\0\x03${secret}`,
    `${secret} ${secret}\r\n`,
    `-${secret}\r\n`,
  ].map((text) => Buffer.from(text, "latin1"));
  for (let round = 0; round < 20_000; round++) {
    const bytes = mutated(random, statements);
    for (const protocol of ["postgresql", "mysql", "redis"] as const) {
      const told = JSON.stringify([
        requestHeads[protocol].request(bytes),
        requestHeads[protocol].answer(bytes),
      ]);
      if (/hunter/i.test(told)) expect.fail(`${protocol}: ${told}`);
    }
  }
});
