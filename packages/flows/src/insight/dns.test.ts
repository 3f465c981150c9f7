import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { once } from "node:events";
import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { formatAddress } from "../address.ts";
import { bytesOf } from "../testing/frames.ts";
import { dnsLimits, parseDns } from "./dns.ts";
import { dnsType, dnsTypeName, rcodeName } from "./dns-codes.ts";
import { dnsBytes, pointer, wireName } from "./testing/dns-bytes.ts";
import { mutated, shownText } from "./testing/mutation.ts";

const question = pointer(12);
const a = (owner: Uint8Array, last: number, ttl = 300) => ({ owner, type: 1, ttl, data: [192, 0, 2, last] });
const response = 0x8180;

const chained = dnsBytes({
  flags: response,
  name: wireName("WWW.Example.com"),
  answers: [
    { owner: question, type: 5, ttl: 60, data: wireName("cdn", 16) },
    { ...a(pointer(45), 1), ttl: 30 },
    {
      owner: pointer(45),
      type: 28,
      ttl: 7000,
      data: [0x20, 0x01, 0x0d, 0xb8, ...new Array(11).fill(0), 0x35],
    },
  ],
});

describe("messages", () => {
  test("a query: name in lower case, without its last dot", () => {
    expect(parseDns(dnsBytes({ id: 7, name: wireName("WWW.eXample.COM"), type: 28 }))).toEqual({
      id: 7,
      isResponse: false,
      rcode: 0,
      name: "www.example.com",
      type: 28,
      answers: [],
      ttlSeconds: null,
      isComplete: true,
    });
  });

  test("a response with an alias and compressed names", () => {
    const message = parseDns(chained);
    expect(message).toMatchObject({ isResponse: true, name: "www.example.com", ttlSeconds: 30 });
    expect(message?.isComplete).toBe(true);
    const shown = message?.answers.map(({ owner, target, address, ttlSeconds }) => [
      owner,
      target || formatAddress(address),
      ttlSeconds,
    ]);
    expect(shown).toEqual([
      ["www.example.com", "cdn.example.com", 60],
      ["cdn.example.com", "192.0.2.1", 30],
      ["cdn.example.com", "2001:db8::35", 7000],
    ]);
  });

  test("the upper bits of the response code come with EDNS", () => {
    const opt = { owner: Uint8Array.of(0), type: dnsType.opt, ttl: 0x01_00_0000, class: 1232, data: [] };
    const message = parseDns(dnsBytes({ flags: response, additional: [opt] }));
    expect(message?.rcode).toBe(16);
    expect([rcodeName(16), rcodeName(3), rcodeName(3000)]).toEqual(["BADVERS", "NXDOMAIN", "RCODE3000"]);
    expect([dnsTypeName(65), dnsTypeName(65_280)]).toEqual(["HTTPS", "TYPE65280"]);
  });

  test.each([
    ["a dot and a backslash within a label", [3, 0x61, 0x2e, 0x5c, 0], "a\\.\\\\"],
    [
      "control characters, escapes of terminals, bytes above 127",
      [4, 0x1b, 0x5b, 0x00, 0xff, 0],
      "\\027[\\000\\255",
    ],
    ["a blank", [3, 0x61, 0x20, 0x62, 0], "a\\032b"],
    ["the root", [0], "."],
  ])("names as text: %s", (_, name, expected) => {
    expect(parseDns(dnsBytes({ name: Uint8Array.from(name) }))?.name).toBe(expected);
  });

  test("over TCP, with the length in front or in a segment of its own", () => {
    const bytes = dnsBytes({});
    const prefixed = bytesOf([0, bytes.length], bytes, new Uint8Array(40));
    for (const sent of [prefixed, bytes]) expect(parseDns(sent, true)?.name).toBe("example.com");
    expect(parseDns(Uint8Array.of(0, 40), true)).toBeUndefined();
  });

  test("a message that is cut tells what came before the cut", () => {
    for (let size = 0; size < chained.length; size++) {
      const message = parseDns(chained.subarray(0, size));
      if (size < 12 + 17 + 4) expect(message).toBeUndefined();
      else expect(message).toMatchObject({ name: "www.example.com", isComplete: false });
    }
    expect(parseDns(chained.subarray(0, chained.length - 1))?.answers).toHaveLength(2);
  });

  test("a TTL with the highest bit is 0, other classes and lengths are no answers", () => {
    const answers = [
      a(question, 1, 0xffff_ffff),
      { ...a(question, 2), class: 3 },
      { owner: question, type: 1, data: [1, 2, 3] },
    ];
    const message = parseDns(dnsBytes({ flags: response, answers }));
    expect(message).toMatchObject({ ttlSeconds: 0, isComplete: true });
    expect(message?.answers).toHaveLength(1);
  });
});

describe("limits", () => {
  const named = (name: readonly number[] | Uint8Array) => parseDns(dnsBytes({ name: Uint8Array.from(name) }));

  test.each<[string, readonly number[]]>([
    ["a pointer to itself", [0xc0, 12]],
    ["a pointer forwards", [0xc0, 14, 1, 0x61, 0]],
    ["a loop over two labels", [1, 0x61, 0xc0, 12]],
    ["a label type that is not in use", [0x41, 0x61, 0]],
    ["a name without end", [9, 0x61]],
  ])("%s", (_, name) => expect(named(name)).toBeUndefined());

  test("names up to 255 bytes", () => {
    const labels = (count: number, last: number) =>
      wireName([...new Array<string>(count).fill("a".repeat(63)), "b".repeat(last)].join("."));
    expect(labels(3, 61)).toHaveLength(dnsLimits.nameBytes);
    expect(named(labels(3, 61))?.name).toHaveLength(253);
    expect(named(labels(3, 62))).toBeUndefined();
  });

  test("jumps", () => {
    // Each answer's name is a label and a pointer to the name before.
    const chain = (length: number) => {
      const bytes: number[] = [...dnsBytes({ flags: response })];
      let previous = 12;
      for (let index = 0; index < length; index++) {
        const at = bytes.length;
        bytes.push(1, 0x61, ...pointer(previous), 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4);
        previous = at;
      }
      bytes[7] = length;
      return parseDns(Uint8Array.from(bytes));
    };
    expect(chain(dnsLimits.jumps)).toMatchObject({ isComplete: true });
    const beyond = chain(dnsLimits.jumps + 1);
    expect(beyond?.isComplete).toBe(false);
    expect(beyond?.answers).toHaveLength(dnsLimits.jumps);
  });

  test("answers and records", () => {
    const many = (count: number) =>
      parseDns(dnsBytes({ flags: response, answers: new Array(count).fill(a(question, 9)) }));
    expect(many(64)).toMatchObject({ isComplete: true });
    expect(many(65)?.answers).toHaveLength(dnsLimits.answers);
    expect(many(65)?.isComplete).toBe(false);
    const claimed = dnsBytes({ flags: response });
    claimed.set([0xff, 0xff], 6);
    expect(parseDns(claimed)).toMatchObject({ isComplete: false, answers: [] });
  });

  test.each([
    ["no question", dnsBytes({ questions: 0 })],
    ["two questions", dnsBytes({ questions: 2 })],
    ["an update", dnsBytes({ flags: 5 << 11 })],
    ["nothing", new Uint8Array(0)],
  ])("%s is no message for us", (_, bytes) => expect(parseDns(bytes)).toBeUndefined());
});

test("what a resolver really sends", async () => {
  const server = createSocket("udp4");
  server.bind(0, "127.0.0.1");
  await once(server, "listening");
  const resolver = new Resolver({ timeout: 5000, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.address().port}`]);
  const asked = once(server, "message");
  const answered = resolver.resolve4("Real.Example.ORG").catch(() => undefined);
  const [bytes] = (await asked) as [Buffer];
  expect(parseDns(bytes)).toMatchObject({ isResponse: false, name: "real.example.org", type: dnsType.a });
  resolver.cancel();
  await answered;
  server.close();
});

test("fuzzing: 100,000 mutated messages", () => {
  const random = seededRandom(53);
  const opt = { owner: Uint8Array.of(0), type: dnsType.opt, data: [] };
  const samples = [
    chained,
    dnsBytes({}),
    dnsBytes({ flags: response, answers: [a(question, 1)], additional: [opt] }),
  ];
  let read = 0;
  for (let round = 0; round < 100_000; round++) {
    const message = parseDns(mutated(random, samples), random.below(4) === 0);
    if (message === undefined) continue;
    read++;
    const names = [message.name, ...message.answers.flatMap(({ owner, target }) => [owner, target])];
    const isSane =
      names.every((name) => name.length <= 4 * dnsLimits.nameBytes && shownText.test(name)) &&
      message.answers.length <= dnsLimits.answers &&
      message.answers.every(({ address, type }) => address.length === (type === dnsType.cname ? 0 : 16));
    if (!isSane) expect.fail(`round ${round}: ${JSON.stringify(message)}`);
  }
  expect(read).toBeGreaterThan(20_000);
});
