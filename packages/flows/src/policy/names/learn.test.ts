/** What the shipped programs learn of queries and answers, packet by packet, against the oracle. */
import { readFileSync } from "node:fs";
import { type Random, seededRandom } from "@x0tta6bl4/core";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import { createNamespace, requireKernel } from "../../../../../test/lab/index.ts";
import { formatAddress, parseAddress } from "../../address.ts";
import { admittedLayout, connectionKeyLayout } from "../../generated/layout.ts";
import { mapAccess, readBatches, testRun } from "../../kernel/bpf.ts";
import { fitOutFlowTable, flowTableSizes } from "../../kernel/flow-table.ts";
import { type Libc, type Memory, openLibc } from "../../kernel/libc.ts";
import { loadObject } from "../../kernel/load.ts";
import { openNamespace } from "../../kernel/namespaces.ts";
import { shippedPrograms } from "../../kernel/programs.ts";
import { ethernet, ipv4, ipv6, tcp, udp } from "../../testing/frames.ts";
import { writeTupleKey } from "../enforce/connections.ts";
import { openGenerations } from "../enforce/generations.ts";
import { NAME_PEER, type NameEntry } from "../tables.ts";
import {
  addressRecord,
  type DnsRecord,
  dnsQuery,
  dnsReply,
  dnsType,
  nameBytes,
  overTcp,
} from "../testing/dns-messages.ts";
import { nameOracle } from "../testing/name-oracle.ts";
import { openNames } from "./admitted.ts";
import { MOST_PEERS, nameAutomaton } from "./automaton.ts";

const RING_BYTES = 1 << 18;
const MOST_FLOWS = 16_384;
const DNS = 53;
const HOST = "10.0.0.2";
const RESOLVER = "10.0.0.53";
const RESOLVER6 = "fd00::53";
const STRANGER = "10.0.0.99";
const FUZZ_CASES = 60;
const FUZZ_PACKETS = 60;

/** CLOCK_BOOTTIME. */
const bootMs = (): number => 1000 * Number.parseFloat(readFileSync("/proc/uptime", "latin1"));

beforeEach((context) => requireKernel(context, "bpf", "btf", "netns"));

interface Packet {
  readonly bytes: Uint8Array;
  readonly server?: string;
  readonly port?: number;
  readonly isTcp?: boolean;
}

type Kernel = Awaited<ReturnType<typeof openKernel>>;

async function openKernel() {
  const host = await createNamespace();
  onTestFinished(() => host[Symbol.asyncDispose]());
  await host.exec([
    "ip",
    "link",
    "add",
    "eth0",
    "address",
    "02:00:00:00:00:02",
    "type",
    "veth",
    "peer",
    "name",
    "eth1",
  ]);
  const { index } = await host.link("eth0");
  const libc = openLibc();
  const inside = openNamespace(libc, host.path);
  onTestFinished(() => inside.close());
  const loaded = inside.run(() =>
    loadObject(libc, shippedPrograms(), {
      maxEntries: { ...flowTableSizes(MOST_FLOWS), events: RING_BYTES },
      programs: ["x0_ingress", "x0_egress", "x0_admit"],
    }),
  );
  onTestFinished(() => loaded.close());
  const { maps, programs } = loaded;
  fitOutFlowTable(libc, maps.table, MOST_FLOWS);
  const generations = openGenerations(libc, maps, () => 0);
  onTestFinished(() => generations.close());
  const nowMs = bootMs;
  let passedMs = 0;
  const names = openNames(libc, {
    maps,
    program: programs.x0_admit,
    nowMs: () => nowMs() + passedMs,
    bootMs: () => bootMs() + passedMs,
  });
  const access = mapAccess(libc);
  const [key, value] = [libc.allocate(16), libc.allocate(4)];
  for (const protocol of [6, 17]) {
    key.view.setUint32(0, (protocol << 16) | DNS, true);
    value.view.setUint32(0, 1, true);
    expect(access.update(maps.services, key, value)).toBe(0);
  }
  const context = new Uint8Array(192);
  new DataView(context.buffer).setUint32(40, index, true);
  const frame = (
    { bytes, server = RESOLVER, port = 40_000, isTcp = false }: Packet,
    isAnswer: boolean,
  ): Uint8Array => {
    const own = server.includes(":") ? "fd00::2" : HOST;
    const addresses = isAnswer ? { source: server, destination: own } : { source: own, destination: server };
    const ports = isAnswer
      ? { sourcePort: DNS, destinationPort: port }
      : { sourcePort: port, destinationPort: DNS };
    const upper = isTcp ? tcp({ ...ports, flags: 0x18 }, overTcp(bytes)) : udp(ports, bytes);
    return ethernet(server.includes(":") ? ipv6(addresses, upper) : ipv4(addresses, upper));
  };
  const run = (program: "x0_ingress" | "x0_egress", packet: Packet): void =>
    inside.run(
      () => void testRun(libc, programs[program], frame(packet, program === "x0_ingress"), { context }),
    );
  return {
    names,
    /** For user space: the kernel has its own clock. */
    pass(ms: number) {
      passedMs += ms;
    },
    /** @param held addresses that a connection of this host goes to. */
    sweep(held: readonly string[]) {
      const words = new Uint32Array(connectionKeyLayout.size / 4);
      const { note, end } = names.beginSweep();
      for (const ip of held) {
        const ends = { source: { ip: HOST, port: 40_000 }, destination: { ip, port: 443 } };
        writeTupleKey({ protocol: 6, ...ends }, words, 0);
        note(words, 0);
      }
      end();
    },
    known: () => keysOf(libc, maps.admitted).length,
    swap(entries: readonly NameEntry[]) {
      const none = new Uint8Array(0);
      generations.swap({ keys: none, values: none, count: 0, automaton: nameAutomaton(entries) });
    },
    configure: (shortestSeconds = 0, longestSeconds = 86_400) =>
      names.configure({
        resolvers: [RESOLVER, RESOLVER6].map((text) => parseAddress(text) as Uint8Array),
        shortestSeconds,
        longestSeconds,
      }),
    query: (packet: Packet) => run("x0_egress", packet),
    answer: (packet: Packet) => run("x0_ingress", packet),
    /** Address → peer → seconds from now, which are one more or less by the clock. */
    admitted(): Map<string, Map<number, number>> {
      const found = new Map<string, Map<number, number>>();
      for (const { address, peers } of names.read(-1)?.addresses ?? [])
        found.set(
          formatAddress(address),
          new Map(peers.map(({ peer, untilMs }) => [peer, (untilMs - nowMs()) / 1000])),
        );
      return found;
    },
    clear() {
      for (const address of keysOf(libc, maps.admitted)) {
        key.bytes.set(address);
        access.delete(maps.admitted, key);
      }
    },
  };
}

function keysOf(libc: Libc, map: number): Uint8Array[] {
  const CAPACITY = 1024;
  const [keys, values, cursor] = [16, admittedLayout.size, 8 / CAPACITY].map((size) =>
    libc.allocate(size * CAPACITY),
  ) as [Memory, Memory, Memory];
  const all: Uint8Array[] = [];
  readBatches(libc, map, { keys, values, cursor, capacity: CAPACITY }, (count) => {
    for (let at = 0; at < count; at++) all.push(keys.bytes.slice(16 * at, 16 * at + 16));
  });
  for (const memory of [keys, values, cursor]) memory.free();
  return all;
}

const entry = (number: number, text: string): NameEntry => ({
  peer: NAME_PEER + number,
  kind: text.includes("*") ? "pattern" : "name",
  text,
});

const WWW = { id: 7, name: "www.example.org" };
const ADDRESS = "192.0.2.1";

async function prepared(): Promise<Kernel> {
  const kernel = await openKernel();
  kernel.swap([entry(0, "www.example.org"), entry(1, "*.example.org"), entry(2, "alias.example.net")]);
  kernel.configure();
  return kernel;
}

function addresses(kernel: Kernel): string[] {
  return [...kernel.admitted().keys()].sort();
}

test("an answer to a query of this host admits its addresses, for whom the name is selected by", async () => {
  const kernel = await prepared();
  kernel.query({ bytes: dnsQuery(WWW) });
  expect(addresses(kernel)).toEqual([]);
  kernel.answer({
    bytes: dnsReply(WWW, [addressRecord(ADDRESS), addressRecord("2001:db8::1", { ttl: 3600 })]),
  });
  const admitted = kernel.admitted();
  expect([...(admitted.get(ADDRESS)?.keys() ?? [])]).toEqual([NAME_PEER, NAME_PEER + 1]);
  expect([...(admitted.get("2001:db8::1")?.keys() ?? [])]).toEqual([NAME_PEER, NAME_PEER + 1]);
  expect(admitted.get(ADDRESS)?.get(NAME_PEER)).toBeCloseTo(60, -1);
  expect(admitted.get("2001:db8::1")?.get(NAME_PEER)).toBeCloseTo(3600, -1);
  expect(kernel.names.figures()).toMatchObject({
    queries: 1,
    answers: 1,
    admitted: 2,
    unasked: 0,
    malformed: 0,
  });
});

const alias: DnsRecord = { type: dnsType.cname, data: nameBytes("cdn.example.com") };
const hundred = Array.from({ length: 100 }, (_, index) =>
  addressRecord(`192.0.2.${index}`, { owner: nameBytes("a.b") }),
);

test.each<[string, (kernel: Kernel) => void, number]>([
  ["over TCP", (kernel) => ask(kernel, { isTcp: true }), 1],
  ["over IPv6", (kernel) => ask(kernel, { server: RESOLVER6 }), 1],
  [
    "behind aliases",
    (kernel) => ask(kernel, {}, [alias, addressRecord(ADDRESS, { owner: nameBytes("cdn.example.com") })]),
    1,
  ],
  [
    "in an answer that is cut short, as it says",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: dnsReply(WWW, [addressRecord(ADDRESS)], { flags: 0x8380 }) });
    },
    1,
  ],
  ["a hundred of them", (kernel) => ask(kernel, {}, hundred), 100],
  [
    "in other case, as resolvers may answer",
    (kernel) => {
      kernel.query({ bytes: dnsQuery({ ...WWW, name: "wWw.ExAmPlE.oRg" }) });
      kernel.answer({ bytes: dnsReply(WWW, [addressRecord(ADDRESS)]) });
    },
    1,
  ],
  ["before the record that is cut", (kernel) => ask(kernel, {}, hundred.slice(0, 3), { cut: 5 }), 2],
  [
    "before a loop of pointers, which is passed over",
    (kernel) => ask(kernel, {}, [loop, ...hundred.slice(0, 2)]),
    3,
  ],
])("admits what is answered: %s", async (_, talk, count) => {
  const kernel = await prepared();
  talk(kernel);
  expect(addresses(kernel)).toHaveLength(count);
});

/** Its owner points to itself. */
const loop = addressRecord("192.0.2.200", {
  owner: Uint8Array.of(0xc0, 12 + nameBytes(WWW.name).length + 4),
});

function ask(
  kernel: Kernel,
  where: Omit<Packet, "bytes">,
  records: readonly DnsRecord[] = [addressRecord(ADDRESS)],
  { cut = 0 }: { readonly cut?: number } = {},
): void {
  kernel.query({ bytes: dnsQuery(WWW), ...where });
  const reply = dnsReply(WWW, records);
  kernel.answer({ bytes: reply.subarray(0, reply.length - cut), ...where });
}

const reply = dnsReply(WWW, [addressRecord(ADDRESS)]);

test.each<[string, (kernel: Kernel) => void, string]>([
  ["nobody asked", (kernel) => kernel.answer({ bytes: reply }), "unasked"],
  [
    "another id",
    (kernel) => {
      kernel.query({ bytes: dnsQuery({ ...WWW, id: 8 }) });
      kernel.answer({ bytes: reply });
    },
    "unasked",
  ],
  [
    "another port of this host",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: reply, port: 40_001 });
    },
    "unasked",
  ],
  [
    "another server, or one that lies about its address",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: reply, server: STRANGER });
    },
    "unasked",
  ],
  [
    "another question",
    (kernel) => {
      kernel.query({ bytes: dnsQuery({ ...WWW, name: "x.example.org" }) });
      kernel.answer({ bytes: reply });
    },
    "unasked",
  ],
  [
    "another type",
    (kernel) => {
      kernel.query({ bytes: dnsQuery({ ...WWW, type: dnsType.aaaa }) });
      kernel.answer({ bytes: reply });
    },
    "unasked",
  ],
  [
    "a second answer",
    (kernel) => {
      ask(kernel, {}, []);
      kernel.answer({ bytes: reply });
    },
    "unasked",
  ],
  [
    "a server that is no resolver",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW), server: STRANGER });
      kernel.answer({ bytes: reply, server: STRANGER });
    },
    "strangers",
  ],
  [
    "no whole question",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: reply.subarray(0, 20) });
    },
    "malformed",
  ],
  [
    "two questions",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: dnsReply(WWW, [addressRecord(ADDRESS)], { questions: 2 }) });
    },
    "malformed",
  ],
  [
    "more records than there are",
    (kernel) => {
      kernel.query({ bytes: dnsQuery(WWW) });
      kernel.answer({ bytes: dnsReply(WWW, [], { records: 9 }) });
    },
    "malformed",
  ],
])("admits nothing: %s", async (_, talk, figure) => {
  const kernel = await prepared();
  talk(kernel);
  expect(addresses(kernel)).toEqual([]);
  expect(kernel.names.figures()).toMatchObject({ [figure]: figure === "strangers" ? 1 : expect.any(Number) });
  expect(kernel.names.figures()[figure as "unasked"]).toBeGreaterThan(0);
});

test.each([
  ["a refusal", dnsReply(WWW, [addressRecord(ADDRESS)], { flags: 0x8183 })],
  ["a query that comes back", dnsQuery(WWW)],
  ["another class", dnsReply(WWW, [addressRecord(ADDRESS, { class: 3 })])],
  ["an address of another length", dnsReply(WWW, [{ type: dnsType.a, data: new Uint8Array(5) }])],
])("admits nothing: %s", async (_, bytes) => {
  const kernel = await prepared();
  kernel.query({ bytes: dnsQuery(WWW) });
  kernel.answer({ bytes });
  expect(addresses(kernel)).toEqual([]);
});

test("nothing is learned while no name is in force", async () => {
  const kernel = await prepared();
  kernel.swap([]);
  ask(kernel, {});
  expect(addresses(kernel)).toEqual([]);
  expect(kernel.names.figures()).toMatchObject({ queries: 0, answers: 0 });
});

test("an answer is judged by the names in force when it comes", async () => {
  const kernel = await prepared();
  kernel.query({ bytes: dnsQuery(WWW) });
  kernel.swap([entry(9, "**.org")]);
  kernel.answer({ bytes: reply });
  expect([...(kernel.admitted().get(ADDRESS)?.keys() ?? [])]).toEqual([NAME_PEER + 9]);
});

test("times have a floor and a ceiling", async () => {
  const kernel = await prepared();
  kernel.configure(100, 1000);
  const times = [0, 500, 0x7fff_ffff, 0xffff_ffff];
  ask(
    kernel,
    {},
    times.map((ttl, index) => addressRecord(`192.0.2.${index}`, { ttl })),
  );
  const seconds = times.map((_, index) => kernel.admitted().get(`192.0.2.${index}`)?.get(NAME_PEER) ?? 0);
  for (const [index, wanted] of [100, 500, 1000, 100].entries()) {
    expect(seconds[index]).toBeGreaterThanOrEqual(wanted - 2);
    expect(seconds[index]).toBeLessThanOrEqual(wanted + 1);
  }
});

test("an address has room for eight names, and those that do not fit are counted", async () => {
  const kernel = await openKernel();
  kernel.swap(Array.from({ length: 10 }, (_, index) => entry(index, `n${index}.example.org`)));
  kernel.configure();
  for (let index = 0; index < 10; index++) {
    const question = { id: index, name: `n${index}.example.org` };
    kernel.query({ bytes: dnsQuery(question) });
    kernel.answer({ bytes: dnsReply(question, [addressRecord(ADDRESS)]) });
  }
  expect(kernel.admitted().get(ADDRESS)?.size).toBe(MOST_PEERS);
  expect(kernel.names.figures().full).toBe(2);
});

test("what is given back after a restart lies beside what is learned", async () => {
  const kernel = await prepared();
  const address = parseAddress(ADDRESS) as Uint8Array;
  const untilMs = bootMs() + 500_000;
  kernel.names.admit([{ address, peers: [{ peer: NAME_PEER + 2, untilMs }] }]);
  ask(kernel, {});
  const peers = kernel.admitted().get(ADDRESS);
  expect([...(peers?.keys() ?? [])].sort()).toEqual([NAME_PEER, NAME_PEER + 1, NAME_PEER + 2]);
  expect(peers?.get(NAME_PEER + 2)).toBeCloseTo(500, -1);
});

test("an address stays while a connection goes to it, and is forgotten long after its time", async () => {
  const kernel = await prepared();
  const [held, left] = ["192.0.2.1", "192.0.2.2"];
  ask(
    kernel,
    {},
    [held, left].map((address) => addressRecord(address)),
  );
  kernel.pass(50_000);
  kernel.sweep([held]);
  kernel.pass(20_000);
  expect(addresses(kernel)).toEqual([held]);
  // Also what ended since the latest look.
  kernel.pass(20_000);
  kernel.sweep([held]);
  expect(addresses(kernel)).toEqual([held]);
  kernel.pass(100_000);
  kernel.sweep([]);
  expect(addresses(kernel)).toEqual([]);
  expect(kernel.known()).toBe(2);
  kernel.pass(600_000);
  kernel.sweep([]);
  expect(kernel.known()).toBe(0);
});

test("equal to the oracle on damaged messages", { timeout: 120_000 }, async () => {
  const kernel = await openKernel();
  let learned = 0;
  for (let seed = 1; seed <= FUZZ_CASES; seed++) {
    const random = seededRandom(seed);
    const texts = ["a.b", "*.b", "**.a", "*", "a*.b*", "ab.a", "*-*", "*_1*.a"].filter(
      () => random.below(2) === 0,
    );
    const names = texts.map((text, index) => entry(seed * 10 + index, text));
    const limits = { shortestSeconds: 10 * random.below(3), longestSeconds: 1000 };
    const oracle = nameOracle({ names, ...limits, mostPeers: MOST_PEERS });
    kernel.clear();
    kernel.swap(names);
    kernel.configure(limits.shortestSeconds, limits.longestSeconds);
    for (let packet = 0; packet < FUZZ_PACKETS; packet++) {
      const port = 1024 + ((seed * FUZZ_PACKETS + packet) % 60_000);
      const question = {
        id: random.below(65_536),
        name: randomName(random),
        type: random.below(2) === 0 ? dnsType.a : dnsType.aaaa,
      };
      const where = { port, isTcp: random.below(4) === 0 };
      const asks = damaged(random, dnsQuery(question), random.below(4) === 0 ? 1 : 0);
      kernel.query({ bytes: asks, ...where });
      oracle.query(String(port), asks);
      const answers = damaged(random, dnsReply(question, randomRecords(random)), random.below(3));
      kernel.answer({ bytes: answers, ...where });
      oracle.answer(String(port), answers);
    }
    const found = kernel.admitted();
    learned += found.size;
    // What an end that is now would say of its second.
    const wanted = new Map([...oracle.admitted].filter(([, peers]) => peers.size > 0));
    expect([...found.keys()].sort(), `seed ${seed}`).toEqual([...wanted.keys()].sort());
    for (const [address, peers] of wanted) {
      const here = found.get(address) as Map<number, number>;
      expect([...here.keys()].sort(), `seed ${seed}: ${address}`).toEqual([...peers.keys()].sort());
      for (const [peer, seconds] of peers)
        expect(Math.abs((here.get(peer) as number) - seconds), `seed ${seed}: ${address}`).toBeLessThan(30);
    }
  }
  expect(learned).toBeGreaterThan(FUZZ_CASES * 5);
});

function randomName(random: Random): string {
  const label = (): string =>
    Array.from({ length: 1 + random.below(2) }, () => "aAbBaAbB1-_%"[random.below(12)]).join("");
  return Array.from({ length: 1 + random.below(3) }, label).join(".");
}

function randomRecords(random: Random): DnsRecord[] {
  return Array.from({ length: random.below(4) }, () => {
    const owner = random.below(2) === 0 ? {} : { owner: nameBytes(randomName(random)) };
    // Not so soon that it ends while the test runs.
    const more = { ...owner, ttl: 200 + random.below(2000) };
    const pick = random.below(6);
    if (pick === 0) return { ...alias, ...more };
    if (pick === 1) return { type: dnsType.txt, data: new Uint8Array(random.below(300)), ...more };
    const host = random.below(250);
    return addressRecord(pick < 4 ? `192.0.2.${host}` : `2001:db8::${host.toString(16)}`, more);
  });
}

/** Some bytes other, some of the end gone. */
function damaged(random: Random, bytes: Uint8Array, times: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  for (let time = 0; time < times; time++) {
    if (random.below(3) === 0) return copy.subarray(0, 1 + random.below(copy.length));
    copy[random.below(copy.length)] = [random.below(256), 0xc0, 0, 1, 63][random.below(5)] as number;
  }
  return copy;
}
