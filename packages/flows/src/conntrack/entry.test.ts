import { seededRandom } from "@x0tta6bl4/core";
import { expect, test } from "vitest";
import { formatAddress, parseAddress } from "../address.ts";
import { attribute } from "../kernel/netlink.ts";
import { createEntryReader, type Tuple } from "./entry.ts";

const NESTED = 0x8000;
const join = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));
const nested = (type: number, ...parts: readonly Uint8Array[]): Uint8Array =>
  attribute(type | NESTED, join(...parts));
const be16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value);
const be32 = (value: number): Uint8Array => Uint8Array.of(value >> 24, value >> 16, value >> 8, value);

interface Ends {
  readonly source: string;
  readonly destination: string;
  readonly proto: readonly Uint8Array[];
}

function tuple(type: number, { source, destination, proto }: Ends): Uint8Array {
  const six = source.includes(":");
  const bytes = (text: string): Uint8Array => (parseAddress(text) as Uint8Array).subarray(six ? 0 : 12);
  return nested(
    type,
    nested(1, attribute(six ? 3 : 1, bytes(source)), attribute(six ? 4 : 2, bytes(destination))),
    nested(2, ...proto),
  );
}

const ports = (protocol: number, source: number, destination: number): Uint8Array[] => [
  attribute(1, Uint8Array.of(protocol)),
  attribute(2, be16(source)),
  attribute(3, be16(destination)),
];

function message(original: Ends, reply: Ends, status = 0x10): Uint8Array {
  return join(
    Uint8Array.of(2, 0, 0, 0),
    tuple(1, original),
    tuple(2, reply),
    attribute(12, be32(0xdead_beef)),
    attribute(3, be32(status)),
    attribute(7, be32(120)),
  );
}

const masqueraded = message(
  { source: "10.77.1.1", destination: "10.77.2.1", proto: ports(6, 40_000, 443) },
  { source: "10.77.2.1", destination: "10.77.2.2", proto: ports(6, 443, 1024) },
);

function seen({ addresses, ports: [source, destination], protocol, isEcho }: Tuple): string {
  const [from, to] = [addresses.subarray(0, 16), addresses.subarray(16)].map(formatAddress);
  return `${protocol} ${from} ${source} > ${to} ${destination}${isEcho ? " echo" : ""}`;
}

function read(payload: Uint8Array): string[] | undefined {
  const reader = createEntryReader();
  return reader.read(payload) ? [seen(reader.original), seen(reader.reply)] : undefined;
}

test("both tuples of a translated connection are read, and its number", () => {
  expect(read(masqueraded)).toEqual([
    "6 10.77.1.1 40000 > 10.77.2.1 443",
    "6 10.77.2.1 443 > 10.77.2.2 1024",
  ]);
  const reader = createEntryReader();
  reader.read(masqueraded);
  expect(reader.id).toBe(0xdead_beef);
});

test("IPv6, and a protocol without ports", () => {
  const proto = [attribute(1, Uint8Array.of(47)), attribute(2, be16(9)), attribute(3, be16(9))];
  expect(
    read(
      message(
        { source: "fd77::1", destination: "fd77::2", proto },
        { source: "fd77::2", destination: "fd78::1", proto },
      ),
    ),
  ).toEqual(["47 fd77::1 0 > fd77::2 0", "47 fd77::2 0 > fd78::1 0"]);
});

test.each([
  ["an echo has its identifier", 1, 8, 4, [4, 5, 6], "1 10.0.0.1 77 > 10.0.0.2 77 echo"],
  ["a timestamp its type and code", 1, 13, 4, [4, 5, 6], "1 10.0.0.1 3328 > 10.0.0.2 3328"],
  ["an echo of ICMPv6", 58, 128, 6, [7, 8, 9], "58 ::1 77 > ::2 77 echo"],
] as const)("%s", (_, protocol, type, family, [id, typeOf, code], expected) => {
  const proto = [
    attribute(1, Uint8Array.of(protocol)),
    attribute(id, be16(77)),
    attribute(typeOf, Uint8Array.of(type)),
    attribute(code, Uint8Array.of(0)),
  ];
  const [source, destination] = family === 6 ? ["::1", "::2"] : ["10.0.0.1", "10.0.0.2"];
  const ends = { source, destination, proto } as const;
  expect(read(message(ends, ends))?.[0]).toBe(expected);
});

test.each([
  ["no status", 0x8, false],
  ["source translated", 0x10, true],
  ["destination translated", 0x20, true],
] as const)("%s: %#x", (_, status, expected) => {
  const ends = { source: "10.0.0.1", destination: "10.0.0.2", proto: ports(17, 1, 2) };
  expect(read(message(ends, ends, status)) !== undefined).toBe(expected);
});

test.each<[string, Uint8Array]>([
  ["nothing", new Uint8Array(0)],
  ["a header alone", new Uint8Array(4)],
  ["an attribute longer than the message", join(new Uint8Array(4), Uint8Array.of(255, 0, 3, 0, 0, 0, 0, 16))],
  ["an attribute shorter than its header", join(new Uint8Array(4), Uint8Array.of(3, 0, 3, 0, 0, 0, 0, 16))],
  [
    "more attributes than the kernel has",
    join(masqueraded, ...Array(60).fill(attribute(50, new Uint8Array(0)))),
  ],
  [
    "tuples of different protocols",
    message(
      { source: "10.0.0.1", destination: "10.0.0.2", proto: ports(6, 1, 2) },
      { source: "10.0.0.2", destination: "10.0.0.3", proto: ports(17, 2, 1) },
    ),
  ],
  [
    "a tuple without addresses",
    join(
      new Uint8Array(4),
      nested(1, nested(2, ...ports(6, 1, 2))),
      nested(2, nested(2, ...ports(6, 1, 2))),
      attribute(3, be32(0x10)),
    ),
  ],
  [
    "a port of one byte",
    message(
      {
        source: "10.0.0.1",
        destination: "10.0.0.2",
        proto: [attribute(1, Uint8Array.of(6)), attribute(2, Uint8Array.of(1)), attribute(3, be16(2))],
      },
      { source: "10.0.0.2", destination: "10.0.0.3", proto: ports(6, 2, 1) },
    ),
  ],
])("%s is no translated connection", (_, payload) => {
  expect(read(payload)).toBeUndefined();
});

test("100,000 damaged messages neither throw nor read beyond their end", () => {
  const random = seededRandom(7);
  const reader = createEntryReader();
  let accepted = 0;
  for (let round = 0; round < 100_000; round++) {
    const bytes = masqueraded.slice(
      0,
      random.below(4) > 0 ? masqueraded.length : random.below(masqueraded.length),
    );
    for (let changes = random.below(6); changes > 0 && bytes.length > 0; changes--)
      bytes[random.below(bytes.length)] = random.below(256);
    // Behind it lies what an earlier message left in the buffer.
    const buffer = new Uint8Array(bytes.length + 64).fill(0xff);
    buffer.set(bytes);
    const alone = reader.read(bytes) ? [seen(reader.original), seen(reader.reply)] : undefined;
    const among = reader.read(buffer.subarray(0, bytes.length))
      ? [seen(reader.original), seen(reader.reply)]
      : undefined;
    expect(among).toEqual(alone);
    if (alone !== undefined) accepted++;
  }
  expect(accepted).toBeGreaterThan(1000);
});
