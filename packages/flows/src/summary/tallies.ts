/** What rows of a stretch of time add up to, each key with its sum: of one block, or of many, kept beside them. */
import { formatAddress } from "../address.ts";
import type { FlowProcess } from "../flow.ts";
import type { Block } from "../history/block.ts";
import { column } from "../history/columns.ts";
import { protocolName, protocolNumbers } from "../protocols.ts";
import { placeOf, places } from "../recording/record.ts";

export type Traffic = { flows: number; bytes: number; packets: number };

export interface Named {
  readonly name: string | null;
}

export interface Service extends Named {
  readonly ip: string;
  readonly port: number;
  readonly protocol: string;
}

export type Owner = Pick<FlowProcess, "comm" | "unit" | "container">;

export interface Destination extends Named {
  readonly firstMs: number;
}

/** A key's sum, and what else is known of it. */
export interface Tally<Detail> {
  readonly traffic: Traffic;
  detail: Detail;
}

export interface Tallies {
  readonly total: Traffic;
  /** By address. */
  readonly talkers: Map<string, Tally<Named>>;
  readonly services: Map<string, Tally<Service>>;
  readonly processes: Map<string, Tally<Owner>>;
  /** By address: what this host opened flows to, or passed them on to. */
  readonly destinations: Map<string, Tally<Destination>>;
}

export function createTallies(): Tallies {
  return {
    total: { flows: 0, bytes: 0, packets: 0 },
    talkers: new Map(),
    services: new Map(),
    processes: new Map(),
    destinations: new Map(),
  };
}

/** Of the rows whose end falls into the time. Of what it makes nothing is by row: a busy host writes tens of thousands a second. */
export function talliesOf(
  block: Block,
  sinceMs: number,
  untilMs: number,
  isCounted: (row: number) => boolean = () => true,
): Tallies {
  const tallies = createTallies();
  const byAddress = groups(block.addressCount);
  const byDestination = groups(block.addressCount);
  const byProcess = groups(block.processes.length);
  const byService = serviceGroups();
  const firstMs: number[] = [];
  const of = columnsOf(block);
  const each: Traffic = { flows: 0, bytes: 0, packets: 0 };
  for (let row = 0; row < block.count; row++) {
    const end = of.end[row] as number;
    if (end < sinceMs || end >= untilMs || !isCounted(row)) continue;
    deltaOf(of, row, each);
    addTraffic(tallies.total, each);
    // As integers: to hand on a double costs memory.
    const source = integer(of.source, row);
    const destination = integer(of.destination, row);
    addTraffic(byAddress.at(source), each);
    if (destination !== source) addTraffic(byAddress.at(destination), each);
    const owner = integer(of.process, row);
    const peer = integer(of.peerProcess, row);
    if (owner !== 0) addTraffic(byProcess.at(owner), each);
    if (peer !== 0 && peer !== owner) addTraffic(byProcess.at(peer), each);
    const protocol = integer(of.protocol, row) & 0xff;
    const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
    const port = isIcmp ? 0 : integer(of.destinationPort, row);
    addTraffic(byService.at(destination, port, protocol), each);
    if (!isOutward(integer(of.kind, row))) continue;
    addTraffic(byDestination.at(destination), each);
    const place = byDestination.placeOf(destination);
    firstMs[place] = Math.min(firstMs[place] ?? Number.POSITIVE_INFINITY, of.start[row] as number);
  }
  const ip = ipsOf(block);
  const names = namesOf(block);
  for (const index of byAddress.keys)
    tallies.talkers.set(ip(index), { traffic: byAddress.at(index), detail: { name: names(index) } });
  for (const index of byProcess.keys) {
    const { comm, unit, container } = block.processes[index] as FlowProcess;
    const key = JSON.stringify([comm, unit, container]);
    const known = tallies.processes.get(key);
    const traffic = byProcess.at(index);
    if (known === undefined) tallies.processes.set(key, { traffic, detail: { comm, unit, container } });
    else addTraffic(known.traffic, traffic);
  }
  for (const { address, port, protocol, traffic } of byService.all()) {
    const detail = { ip: ip(address), port, protocol: protocolName(protocol), name: names(address) };
    tallies.services.set(serviceKey(detail), { traffic, detail });
  }
  for (const [place, index] of byDestination.keys.entries())
    tallies.destinations.set(ip(index), {
      traffic: byDestination.at(index),
      detail: { name: names(index), firstMs: firstMs[place] as number },
    });
  return tallies;
}

interface Groups {
  /** In the order in which they came. */
  readonly keys: readonly number[];
  /** Of a key that came. */
  placeOf(key: number): number;
  at(key: number): Traffic;
}

/** Sums by numbers below `most`. */
function groups(most: number): Groups {
  const places = new Uint32Array(most);
  const keys: number[] = [];
  const sums: Traffic[] = [];
  return {
    keys,
    placeOf: (key) => (places[key] as number) - 1,
    at(key) {
      const place = places[key] as number;
      if (place !== 0) return sums[place - 1] as Traffic;
      const sum = { flows: 0, bytes: 0, packets: 0 };
      places[key] = sums.push(sum);
      keys.push(key);
      return sum;
    },
  };
}

interface ServiceSum {
  readonly address: number;
  readonly port: number;
  readonly protocol: number;
  readonly traffic: Traffic;
}

/** Sums by service. With a map a protocol, address and port mostly are a number that V8 needs no memory for. */
function serviceGroups() {
  const byProtocol = new Map<number, Map<number, ServiceSum>>();
  return {
    at(address: number, port: number, protocol: number): Traffic {
      let sums = byProtocol.get(protocol);
      if (sums === undefined) {
        sums = new Map();
        byProtocol.set(protocol, sums);
      }
      const key = address * 65_536 + port;
      let sum = sums.get(key);
      if (sum === undefined) {
        sum = { address, port, protocol, traffic: { flows: 0, bytes: 0, packets: 0 } };
        sums.set(key, sum);
      }
      return sum.traffic;
    },
    all: (): ServiceSum[] => [...byProtocol.values()].flatMap((sums) => [...sums.values()]),
  };
}

export function serviceKey({ ip, port, protocol }: Service): string {
  return `${ip} ${port} ${protocol}`;
}

/** The addresses that `destinations` would have, without what they add up to. */
export function destinationsOf(block: Block, sinceMs: number, untilMs: number): Set<string> {
  const ends = block.column(column.end);
  const destinations = block.column(column.destination);
  const kinds = block.column(column.kind);
  const indexes = new Set<number>();
  for (let row = 0; row < block.count; row++) {
    const end = ends[row] as number;
    if (end >= sinceMs && end < untilMs && isOutward(kinds[row] as number))
      indexes.add(destinations[row] as number);
  }
  return new Set([...indexes].map(ipsOf(block)));
}

/** Adds, in any order. */
export function addTallies(into: Tallies, from: Tallies): void {
  addTraffic(into.total, from.total);
  merge(into.talkers, from.talkers, oneName);
  merge(into.services, from.services, oneName);
  merge(into.processes, from.processes, (before) => before);
  merge(into.destinations, from.destinations, earlierFirst);
}

/** Of several names of an address the first one of the alphabet: the same, in whatever order they are met. */
export function oneName<T extends Named>(before: T, next: T): T {
  const name = firstOf(before.name, next.name);
  return name === before.name ? before : { ...before, name };
}

export function earlierFirst(before: Destination, next: Destination): Destination {
  const name = firstOf(before.name, next.name);
  if (name === before.name && before.firstMs <= next.firstMs) return before;
  return { name, firstMs: Math.min(before.firstMs, next.firstMs) };
}

function firstOf(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return b < a ? b : a;
}

function merge<Detail>(
  into: Map<string, Tally<Detail>>,
  from: ReadonlyMap<string, Tally<Detail>>,
  join: (before: Detail, next: Detail) => Detail,
): void {
  from.forEach(({ traffic, detail }, key) => {
    const known = into.get(key);
    if (known === undefined) into.set(key, { traffic: { ...traffic }, detail });
    else {
      addTraffic(known.traffic, traffic);
      known.detail = join(known.detail, detail);
    }
  });
}

/** Opened by this host to another, or passed on. */
function isOutward(kind: number): boolean {
  const place = places[placeOf(kind)];
  return place === "forwarded" || (place === "local" && kind >>> 24 === 1);
}

type SummedColumns = Readonly<Record<(typeof summed)[number], Float64Array>>;

const summed = [
  "kind",
  "start",
  "end",
  "source",
  "destination",
  "destinationPort",
  "protocol",
  "process",
  "peerProcess",
  "sentPackets",
  "receivedPackets",
  "sentBytes",
  "receivedBytes",
  "earlierSentPackets",
  "earlierReceivedPackets",
  "earlierSentBytes",
  "earlierReceivedBytes",
] as const;

function columnsOf(block: Block): SummedColumns {
  return Object.fromEntries(summed.map((name) => [name, block.column(column[name])])) as SummedColumns;
}

/** What is a small number in any block. */
function integer(values: Float64Array, row: number): number {
  return (values[row] as number) | 0;
}

/**
 * What a row adds to what the row of its flow before it had told. A counter that fell would be another flow's: nothing
 * is taken from a sum.
 */
function deltaOf(of: SummedColumns, row: number, into: Traffic): void {
  const packets = (of.sentPackets[row] as number) + (of.receivedPackets[row] as number);
  const earlierPackets = (of.earlierSentPackets[row] as number) + (of.earlierReceivedPackets[row] as number);
  const bytes = (of.sentBytes[row] as number) + (of.receivedBytes[row] as number);
  const earlierBytes = (of.earlierSentBytes[row] as number) + (of.earlierReceivedBytes[row] as number);
  into.flows = earlierPackets === 0 ? 1 : 0;
  into.packets = Math.max(0, packets - earlierPackets);
  into.bytes = Math.max(0, bytes - earlierBytes);
}

/** Address of a block → a name that one of its rows gives it. */
function namesOf(block: Block): (address: number) => string | null {
  const names = new Uint32Array(block.addressCount);
  for (const [addresses, texts] of [
    [column.source, column.sourceName],
    [column.destination, column.destinationName],
  ] as const) {
    const [addressOf, textOf] = [block.column(addresses), block.column(texts)];
    for (let row = 0; row < block.count; row++) {
      const text = integer(textOf, row);
      if (text === 0) continue;
      const address = integer(addressOf, row);
      const known = names[address] as number;
      if (text === known) continue;
      if (known === 0 || (block.strings[text] as string) < (block.strings[known] as string))
        names[address] = text;
    }
  }
  return (address) => (names[address] === 0 ? null : (block.strings[names[address] as number] as string));
}

function ipsOf(block: Block): (address: number) => string {
  const bytes = new Uint8Array(16);
  const texts = new Map<number, string>();
  return (address) => {
    let text = texts.get(address);
    if (text === undefined) {
      block.address(address, bytes, 0);
      text = formatAddress(bytes);
      texts.set(address, text);
    }
    return text;
  };
}

export function addTraffic(into: Traffic, { flows, bytes, packets }: Traffic): void {
  into.flows += flows;
  into.bytes += bytes;
  into.packets += packets;
}
