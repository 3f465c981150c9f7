/** Frames that nobody should trust, seeded: headers, options, tags, fragments and payloads damaged in every place. */
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { dnsBytes, pointer, wireName } from "../insight/testing/dns-bytes.ts";
import { mutated } from "../insight/testing/mutation.ts";
import { clientHello, records, serverHello } from "../insight/testing/tls-bytes.ts";
import {
  type Addresses,
  authenticationHeader,
  bytesOf,
  type Extension,
  ethernet,
  extension,
  icmp,
  icmpv6,
  ipv4,
  ipv4Fragments,
  ipv6,
  ipv6Fragments,
  sctp,
  tcp,
  type Upper,
  udp,
  type Vlan,
} from "./frames.ts";

/** Hardware addresses stay as they are: who damages those sends to somebody else. */
const FIRST_DAMAGED = 12;
const text = (line: string): Uint8Array => Uint8Array.from(Buffer.from(line, "latin1"));

const dnsMessages: readonly Uint8Array[] = [
  dnsBytes({}),
  dnsBytes({
    flags: 0x8180,
    answers: [{ owner: pointer(12), type: 1, data: [192, 0, 2, 7] }],
  }),
  dnsBytes({
    flags: 0x8180,
    answers: [{ owner: pointer(12), type: 5, data: wireName("elsewhere", 12) }],
  }),
  // A name that points to itself, and two that point to each other.
  dnsBytes({ name: pointer(12) }),
  dnsBytes({
    flags: 0x8180,
    name: wireName("a", 16),
    answers: [{ owner: pointer(29), type: 1, data: [1, 2, 3, 4] }],
  }),
  dnsBytes({ name: wireName("\x1b[2J<b>.\x00\n.example") }),
];
const hellos: readonly Uint8Array[] = [
  records(clientHello({ serverName: "shop.example.com", versions: [0x0304, 0x0303] })),
  records(clientHello({ serverName: "\x1b]0;owned\x07.example", versions: [0x0304] }), 40),
  records(clientHello({ encrypted: 0, padding: 900 })),
  records(serverHello(0x0304)),
];
const requests: readonly Uint8Array[] = [
  text("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"),
  text("POST /\x1b[31m\x00\xff HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n"),
  text("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
  text("HTTP/1.1 999999 \r\n\r\n"),
];
const quic: readonly Uint8Array[] = [bytesOf([0xc3, 0, 0, 0, 1, 8], new Uint8Array(1194).fill(0x5a))];

/**
 * @param least the fewest bytes of a frame: a test run of a program takes none that ends within the IP header.
 */
export function* damagedFrames(seed: number, count: number, least = 14): Generator<Uint8Array> {
  const random = seededRandom(seed);
  const queue: Uint8Array[] = [];
  for (let index = 0; index < count; index++) {
    while (queue.length === 0) queue.push(...wholeFrames(random));
    yield damage(random, queue.shift() as Uint8Array, least);
  }
}

function damage(random: Random, whole: Uint8Array, least: number): Uint8Array {
  // Most stay whole, so that their flows go on.
  if (random.below(3) === 0) return whole;
  const end = random.below(4) === 0 ? least + random.below(Math.max(1, whole.length - least)) : whole.length;
  const frame = whole.slice(0, Math.max(least, end));
  for (let flips = random.below(5); flips > 0; flips--) {
    const within = random.below(2) === 0 ? Math.min(frame.length, 60) : frame.length;
    if (within > FIRST_DAMAGED)
      frame[FIRST_DAMAGED + random.below(within - FIRST_DAMAGED)] = random.below(256);
  }
  return frame;
}

/** One packet, or the fragments of one. */
function wholeFrames(random: Random): Uint8Array[] {
  const six = random.below(2) === 1;
  const host = 1 + random.below(20);
  const ends: Addresses = six
    ? { source: `2001:db8::${host}`, destination: "2001:db8:1::1" }
    : { source: `10.0.0.${host}`, destination: "192.0.2.1" };
  const way: Addresses =
    random.below(2) === 0 ? ends : { source: ends.destination, destination: ends.source };
  const vlans: readonly Vlan[] = Array.from({ length: random.below(3) === 0 ? random.below(5) : 0 }, () => ({
    id: random.below(4096),
    tpid: random.below(2) === 0 ? 0x8100 : 0x88a8,
  }));
  const upper = upperOf(random, six, way === ends);
  const options = new Uint8Array(4 * (random.below(3) === 0 ? random.below(11) : 0)).map(() =>
    random.below(256),
  );
  const extensions = extensionsOf(random);
  if (random.below(6) === 0) {
    const id = random.below(500);
    const pieces = six
      ? ipv6Fragments({ ...way, id, extensions }, upper, 64)
      : ipv4Fragments({ ...way, id }, upper, 64);
    // Not all of them come.
    return pieces.filter(() => random.below(5) !== 0).map((packet) => ethernet(packet, { vlans }));
  }
  const packet = six ? ipv6({ ...way, extensions }, upper) : ipv4({ ...way, options }, upper);
  return [ethernet(packet, { vlans, pad: random.below(2) === 0 })];
}

function extensionsOf(random: Random): Extension[] {
  if (random.below(3) !== 0) return [];
  return Array.from({ length: random.below(10) }, () =>
    random.below(4) === 0
      ? authenticationHeader()
      : extension([0, 43, 60][random.below(3)] as number, random.below(2)),
  );
}

function upperOf(random: Random, six: boolean, isForth: boolean): Upper {
  const port = 30_000 + random.below(40);
  const ports = (service: number) =>
    isForth ? { sourcePort: port, destinationPort: service } : { sourcePort: service, destinationPort: port };
  const flags = [0x02, 0x12, 0x10, 0x18, 0x18, 0x18, 0x11, 0x04, random.below(256)][
    random.below(9)
  ] as number;
  const segment = (service: number, payload: Uint8Array): Upper =>
    tcp(
      {
        ...ports(service),
        flags,
        sequence: random.below(4) * 100,
        options: new Uint8Array(4 * random.below(11)),
      },
      payload,
    );
  const kinds: readonly (() => Upper)[] = [
    () => segment(443, mutated(random, hellos)),
    () => segment(8080, mutated(random, requests)),
    () => segment(53, bytesOf([0, 40], mutated(random, dnsMessages))),
    () => udp(ports(53), mutated(random, dnsMessages)),
    () => udp(ports(53), mutated(random, dnsMessages)),
    () => udp(ports(443), mutated(random, quic)),
    () => segment(9000, new Uint8Array(random.below(50))),
    () => sctp(ports(9), new Uint8Array(random.below(30))),
    () => ({ protocol: random.below(256), bytes: new Uint8Array(random.below(60)) }),
    () => {
      const message = {
        type: random.below(2) === 0 ? (six ? 128 : 8) : random.below(256),
        id: random.below(50),
      };
      return (six ? icmpv6 : icmp)(message, new Uint8Array(random.below(60)));
    },
  ];
  return (kinds[random.below(kinds.length)] as () => Upper)();
}
