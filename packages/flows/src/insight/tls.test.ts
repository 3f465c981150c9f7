import { seededRandom } from "@x0tta6bl4/core";
import { describe, expect, test } from "vitest";
import { bytesOf } from "../testing/frames.ts";
import { mutated, shownText } from "./testing/mutation.ts";
import { clientHello, realHandshake, records, serverHello } from "./testing/tls-bytes.ts";
import { createHelloReader, helloReaderLimits, type TlsFacts } from "./tls.ts";

const hello = clientHello({ serverName: "WWW.Example.com", versions: [0x7a7a, 0x0304, 0x0303] });
const long = clientHello({ serverName: "long.test", versions: [0x0304], padding: 3000 });
const START = 0xffff_ff00;

interface Piece {
  readonly at: number;
  readonly bytes: Uint8Array;
}

function pieces(stream: Uint8Array, size: number): Piece[] {
  const parts: Piece[] = [];
  for (let at = 0; at < stream.length; at += size) parts.push({ at, bytes: stream.subarray(at, at + size) });
  return parts;
}

/** Sequence numbers that wrap within the hello. */
function fed(parts: readonly Piece[], reader = createHelloReader(), flow = 1): TlsFacts | undefined {
  let facts: TlsFacts | undefined;
  for (const { at, bytes } of parts) facts = reader.feed(flow, true, (START + at) >>> 0, bytes) ?? facts;
  return facts;
}

describe("ClientHello", () => {
  test("in one segment: name, versions without GREASE", () => {
    expect(fed(pieces(records(hello), 65_536))).toEqual({
      serverName: "www.example.com",
      encryptedHello: false,
      offeredVersions: [0x0304, 0x0303],
      version: 0,
      isDone: false,
    });
  });

  test.each([
    ["segments", records(long), 300],
    ["segments of 200 bytes and records of 500", records(long, 500), 250],
    ["records of 3 bytes, which cut the header too", records(hello, 3), 65_536],
  ])("over several %s, in order, reversed, twice and mixed", (_, stream, size) => {
    const parts = pieces(stream, size);
    const random = seededRandom(1);
    const mixed = parts.toSorted(() => random.next() - 0.5);
    const overlapping = parts.map(({ at }) => ({ at, bytes: stream.subarray(at, at + size + 20) }));
    const twice = [...parts.slice(0, 2), ...parts];
    for (const order of [parts, parts.toReversed(), mixed, overlapping, twice])
      expect(fed(order)).toMatchObject({
        serverName: stream.length > 2000 ? "long.test" : "www.example.com",
      });
  });

  test("nothing is told before it is whole, nothing is held after", () => {
    const reader = createHelloReader();
    const parts = pieces(records(long), 1000);
    expect(fed(parts.slice(0, -1), reader)).toBeUndefined();
    expect(reader.heldBytes).toBe(3000);
    expect(fed(parts.slice(-1), reader)).toMatchObject({ serverName: "long.test" });
    expect(reader.heldBytes).toBe(0);
  });

  test("ECH is said: the outer form only", () => {
    const outer = clientHello({ serverName: "public.test", encrypted: 0 });
    const facts = fed(pieces(records(outer), 65_536));
    expect(facts).toMatchObject({ serverName: "public.test", encryptedHello: true });
    const inner = clientHello({ serverName: "a.test", encrypted: 1 });
    expect(fed(pieces(records(inner), 65_536))).toMatchObject({ encryptedHello: false });
  });

  test("old ones: the version of the message, no name", () => {
    const old = clientHello({ legacyVersion: 0x0301 });
    expect(fed(pieces(records(old), 65_536))).toMatchObject({ serverName: null, offeredVersions: [0x0301] });
  });

  test("hostile names are text", () => {
    const name = Uint8Array.of(0x1b, 0x5d, 0, 0xff, 0x41);
    expect(fed(pieces(records(clientHello({ serverName: name })), 65_536))?.serverName).toBe(
      "\\027]\\000\\255a",
    );
  });

  test("of one that is not all there, what was there is told when the server answers", () => {
    const reader = createHelloReader();
    const hidden = clientHello({ serverName: "early.test", versions: [0x0304], encrypted: 0 });
    const answer = records(serverHello(0x0304));
    expect(reader.feed(1, true, 0, records(hidden).subarray(0, -4))).toBeUndefined();
    expect(reader.feed(1, false, 0, answer)).toEqual({
      serverName: "early.test",
      encryptedHello: true,
      offeredVersions: [],
      version: 0x0304,
      isDone: true,
    });
    const [head, , tail] = pieces(records(long), 1200);
    for (const { at, bytes } of [head!, tail!]) expect(reader.feed(2, true, at, bytes)).toBeUndefined();
    expect(reader.feed(2, false, 0, answer)).toMatchObject({ serverName: null, version: 0x0304 });
    expect(reader.heldBytes).toBe(0);
  });
});

describe("ServerHello", () => {
  const reply = (bytes: Uint8Array, reader = createHelloReader()): TlsFacts | undefined => {
    fed(pieces(records(hello), 65_536), reader);
    return reader.feed(1, false, 5, bytes);
  };

  test.each([0x0301, 0x0302, 0x0303, 0x0304])("version %i", (version) => {
    const stream = bytesOf(records(serverHello(version)), [20, 3, 3, 0, 1, 1], new Uint8Array(100));
    expect(reply(stream)).toMatchObject({ version, isDone: true, serverName: "www.example.com" });
  });

  test("cut before its version is told", () => {
    const server = records(serverHello(0x0304));
    expect(reply(server.subarray(0, -2))).toBeUndefined();
  });

  test("an alert in its place", () => {
    expect(reply(Uint8Array.of(21, 3, 1, 0, 2, 2, 40))).toMatchObject({ version: 0, isDone: true });
  });

  test("afterwards nothing of this flow is told or held, until it is forgotten", () => {
    const reader = createHelloReader();
    reply(records(serverHello(0x0304)), reader);
    expect(fed(pieces(records(hello), 65_536), reader)).toBeUndefined();
    expect([reader.flows, reader.heldBytes]).toEqual([1, 0]);
    reader.forget(1);
    expect(reader.flows).toBe(0);
    expect(fed(pieces(records(hello), 65_536), reader)).toBeDefined();
  });
});

test.each([true, false])("who is the client is told by the hellos, whoever opened: %s", (fromOpener) => {
  const reader = createHelloReader();
  const client = records(hello);
  const server = records(serverHello(0x0303));
  expect(reader.feed(1, fromOpener, 0, client)).toMatchObject({
    serverName: "www.example.com",
  });
  expect(reader.feed(1, !fromOpener, 0, server)).toMatchObject({
    version: 0x0303,
    isDone: true,
  });
  expect(reader.feed(2, !fromOpener, 0, server)).toMatchObject({ version: 0x0303 });
  expect(reader.feed(2, fromOpener, 0, client)).toMatchObject({
    serverName: "www.example.com",
  });
});

describe("what OpenSSL sends", () => {
  const both = ({ fromClient, fromServer }: Awaited<ReturnType<typeof realHandshake>>): TlsFacts[] => {
    const reader = createHelloReader();
    const told: (TlsFacts | undefined)[] = [];
    for (const { at, bytes } of pieces(fromClient, 100)) told.push(reader.feed(1, true, at, bytes));
    for (const { at, bytes } of pieces(fromServer, 100)) told.push(reader.feed(1, false, at, bytes));
    return told.filter((facts) => facts !== undefined);
  };

  test.each(["TLSv1.2", "TLSv1.3"] as const)("%s", async (name) => {
    const told = both(await realHandshake("real.example.com", { minVersion: name, maxVersion: name }));
    expect(told).toHaveLength(2);
    expect(told[1]).toEqual({
      serverName: "real.example.com",
      encryptedHello: false,
      offeredVersions: [0x0304, 0x0303],
      version: name === "TLSv1.3" ? 0x0304 : 0x0303,
      isDone: true,
    });
  });

  test("a server that asks to say hello again", async () => {
    const handshake = await realHandshake(
      "again.test",
      { ecdhCurve: "P-521", minVersion: "TLSv1.3" },
      { ecdhCurve: "X25519:P-521" },
    );
    const told = both(handshake);
    expect(told).toHaveLength(2);
    expect(told[1]).toMatchObject({ serverName: "again.test", version: 0x0304, isDone: true });
  });
});

describe("limits", () => {
  test("a hello that never ends is given up, with what is known", () => {
    const endless = clientHello({ serverName: "x.test", versions: [0x0304], padding: 60_000 });
    const reader = createHelloReader();
    const facts = fed(pieces(records(endless), 1200), reader);
    expect(facts).toMatchObject({ serverName: null, offeredVersions: [] });
    expect(reader.heldBytes).toBe(0);
    const tiny = pieces(records(hello), 4);
    expect(tiny.length).toBeGreaterThan(helloReaderLimits.segments);
    expect(fed(tiny, createHelloReader())).toMatchObject({ serverName: null });
  });

  test("what is not TLS is given up", () => {
    const reader = createHelloReader();
    for (let index = 0; index < 100; index++)
      for (const fromOpener of [true, false])
        expect(reader.feed(1, fromOpener, index * 1000, new Uint8Array(1000).fill(65))).toBeUndefined();
    expect(reader.heldBytes).toBe(0);
  });

  test("flows and bytes of all", () => {
    const limits = { ...helloReaderLimits, flows: 10, bytes: 5000 };
    const reader = createHelloReader(limits);
    const [first] = pieces(records(long), 1000);
    for (let flow = 0; flow < 100; flow++) {
      reader.feed(flow, true, 0, first!.bytes);
      expect(reader.heldBytes).toBeLessThanOrEqual(5000);
      expect(reader.flows).toBeLessThanOrEqual(10);
    }
    expect(reader.flows).toBe(5);
    for (let flow = 0; flow < 100; flow++) reader.forget(flow);
    expect([reader.flows, reader.heldBytes]).toEqual([0, 0]);
  });
});

test("fuzzing: 100,000 mutated segments", () => {
  const random = seededRandom(443);
  const limits = { ...helloReaderLimits, flows: 50, bytes: 100_000 };
  const reader = createHelloReader(limits);
  const samples = [records(hello), records(hello, 40), records(long, 700), records(serverHello(0x0304))];
  let told = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = mutated(random, samples);
    const at = random.below(3) === 0 ? random.below(2 ** 32) : random.below(4) * 400;
    const cut = random.below(bytes.length + 1);
    const segment = random.below(2) === 0 ? bytes.subarray(cut) : bytes;
    const facts = reader.feed(random.below(100), random.below(3) > 0, at, segment);
    if (random.below(50) === 0) reader.forget(random.below(100));
    if (facts === undefined) continue;
    told++;
    const name = facts.serverName ?? "";
    if (!shownText.test(name) || name.length > 1020 || facts.offeredVersions.length > 16)
      expect.fail(`round ${round}: ${JSON.stringify(facts)}`);
    if (reader.heldBytes > limits.bytes || reader.flows > limits.flows)
      expect.fail(`round ${round}: unbounded`);
  }
  expect(told).toBeGreaterThan(5000);
  for (let flow = 0; flow < 100; flow++) reader.forget(flow);
  expect(reader.heldBytes).toBe(0);
});
