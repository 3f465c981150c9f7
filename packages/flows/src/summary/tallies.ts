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

/** Of the rows whose end falls into the time. */
export function talliesOf(
  block: Block,
  sinceMs: number,
  untilMs: number,
  isCounted: (row: number) => boolean = () => true,
): Tallies {
  const tallies = createTallies();
  const { rows, traffic } = deltas(block, sinceMs, untilMs, isCounted);
  const names = namesOf(block);
  const byAddress = new Map<number, Traffic>();
  const byProcess = new Map<number, Traffic>();
  const byService = new Map<number, Traffic>();
  const byDestination = new Map<number, Traffic>();
  const firstMs = new Map<number, number>();
  const [sources, destinations] = [block.column(column.source), block.column(column.destination)];
  const ports = block.column(column.destinationPort);
  const protocols = block.column(column.protocol);
  const [owners, peers] = [block.column(column.process), block.column(column.peerProcess)];
  const kinds = block.column(column.kind);
  const starts = block.column(column.start);
  for (const [index, row] of rows.entries()) {
    const each = traffic[index] as Traffic;
    addTraffic(tallies.total, each);
    const [source, destination] = [sources[row] as number, destinations[row] as number];
    addAt(byAddress, source, each);
    if (destination !== source) addAt(byAddress, destination, each);
    const [owner, peer] = [owners[row] as number, peers[row] as number];
    if (owner !== 0) addAt(byProcess, owner, each);
    if (peer !== 0 && peer !== owner) addAt(byProcess, peer, each);
    const protocol = (protocols[row] as number) & 0xff;
    const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
    addAt(byService, (destination * 65_536 + (isIcmp ? 0 : (ports[row] as number))) * 256 + protocol, each);
    if (!isOutward(kinds[row] as number)) continue;
    addAt(byDestination, destination, each);
    const start = starts[row] as number;
    firstMs.set(destination, Math.min(firstMs.get(destination) ?? start, start));
  }
  const ip = ipsOf(block);
  for (const [index, each] of byAddress)
    tallies.talkers.set(ip(index), { traffic: each, detail: { name: names(index) } });
  for (const [index, each] of byProcess) {
    const { comm, unit, container } = block.processes[index] as FlowProcess;
    const key = JSON.stringify([comm, unit, container]);
    const known = tallies.processes.get(key);
    if (known === undefined) tallies.processes.set(key, { traffic: each, detail: { comm, unit, container } });
    else addTraffic(known.traffic, each);
  }
  for (const [key, each] of byService) {
    const protocol = protocolName(key % 256);
    const port = Math.floor(key / 256) % 65_536;
    const address = Math.floor(key / 2 ** 24);
    const detail = { ip: ip(address), port, protocol, name: names(address) };
    tallies.services.set(serviceKey(detail), { traffic: each, detail });
  }
  for (const [index, each] of byDestination)
    tallies.destinations.set(ip(index), {
      traffic: each,
      detail: { name: names(index), firstMs: firstMs.get(index) as number },
    });
  return tallies;
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
  return { ...before, name: firstOf(before.name, next.name) };
}

export function earlierFirst(before: Destination, next: Destination): Destination {
  return { name: firstOf(before.name, next.name), firstMs: Math.min(before.firstMs, next.firstMs) };
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
  for (const [key, { traffic, detail }] of from) {
    const known = into.get(key);
    if (known === undefined) into.set(key, { traffic: { ...traffic }, detail });
    else {
      addTraffic(known.traffic, traffic);
      known.detail = join(known.detail, detail);
    }
  }
}

/** Opened by this host to another, or passed on. */
function isOutward(kind: number): boolean {
  const place = places[placeOf(kind)];
  return place === "forwarded" || (place === "local" && kind >>> 24 === 1);
}

/** What each row adds to what the row of its flow before it had told. */
function deltas(block: Block, sinceMs: number, untilMs: number, isCounted: (row: number) => boolean) {
  const ends = block.column(column.end);
  const at = (name: "Packets" | "Bytes") =>
    [
      block.column(column[`sent${name}`]),
      block.column(column[`received${name}`]),
      block.column(column[`earlierSent${name}`]),
      block.column(column[`earlierReceived${name}`]),
    ] as const;
  const [packets, bytes] = [at("Packets"), at("Bytes")];
  const rows: number[] = [];
  const traffic: Traffic[] = [];
  for (let row = 0; row < block.count; row++) {
    const end = ends[row] as number;
    if (end < sinceMs || end >= untilMs || !isCounted(row)) continue;
    const value = ([sent, received, earlierSent, earlierReceived]: typeof packets): number =>
      (sent[row] as number) +
      (received[row] as number) -
      (earlierSent[row] as number) -
      (earlierReceived[row] as number);
    const isFirst = (packets[2][row] as number) + (packets[3][row] as number) === 0;
    rows.push(row);
    // A counter that fell would be another flow's; nothing is taken from a sum.
    traffic.push({
      flows: isFirst ? 1 : 0,
      bytes: Math.max(0, value(bytes)),
      packets: Math.max(0, value(packets)),
    });
  }
  return { rows, traffic };
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
      const [address, text] = [addressOf[row] as number, textOf[row] as number];
      const known = names[address] as number;
      if (text === 0 || text === known) continue;
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

function addAt(into: Map<number, Traffic>, key: number, each: Traffic): void {
  const known = into.get(key);
  if (known === undefined) into.set(key, { ...each });
  else addTraffic(known, each);
}
