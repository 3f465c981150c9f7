/** Sums over the rows of blocks: what each row adds to what the row of its flow before it had told. */
import { formatAddress } from "../address.ts";
import type { FlowProcess } from "../flow.ts";
import type { Block } from "../history/block.ts";
import { column } from "../history/columns.ts";
import { protocolName, protocolNumbers } from "../protocols.ts";
import { places } from "../recording/record.ts";
import { type AddressSet, createAddressSet } from "./address-set.ts";
import { type HeavyHitters, heavyHitters } from "./heavy-hitters.ts";

/** Keys of one list: about 2 MB. */
const CAPACITY = 4096;

export type Traffic = { flows: number; bytes: number; packets: number };

interface Named {
  readonly name: string | null;
}

export interface Sums {
  readonly total: Traffic;
  readonly talkers: HeavyHitters<Traffic, Named>;
  readonly services: HeavyHitters<
    Traffic,
    Named & { readonly ip: string; readonly port: number; readonly protocol: string }
  >;
  readonly processes: HeavyHitters<Traffic, Pick<FlowProcess, "comm" | "unit" | "container">>;
  readonly fresh: HeavyHitters<Traffic, Named & { readonly firstMs: number }>;
  /** Destinations of the time before. */
  readonly known: AddressSet;
  /** Rows of a block that fall into the time. */
  add(block: Block, sinceMs: number, untilMs: number, isCounted?: (row: number) => boolean): void;
  /** Likewise of the time before. */
  addKnown(block: Block, sinceMs: number, untilMs: number): void;
}

export function createSums(): Sums {
  const total: Traffic = { flows: 0, bytes: 0, packets: 0 };
  const laterName = <T extends Named>(before: T, next: T): T =>
    next.name === null ? before : { ...before, name: next.name };
  const talkers: Sums["talkers"] = heavyHitters(CAPACITY, laterName);
  const services: Sums["services"] = heavyHitters(CAPACITY, laterName);
  const processes: Sums["processes"] = heavyHitters(CAPACITY, (before) => before);
  const fresh: Sums["fresh"] = heavyHitters(CAPACITY, (before, next) => ({
    name: next.name ?? before.name,
    firstMs: Math.min(before.firstMs, next.firstMs),
  }));
  const known = createAddressSet();
  const bytesOf = new Uint8Array(16);

  return {
    total,
    talkers,
    services,
    processes,
    fresh,
    known,
    add(block, sinceMs, untilMs, isCounted = () => true) {
      const rows = deltas(block, sinceMs, untilMs, isCounted);
      const names = namesOf(block);
      const byAddress = tally(block.addressCount);
      const byProcess = tally(block.processes.length);
      const byService = new Map<number, Traffic>();
      const byFresh = new Map<number, Traffic & { firstMs: number }>();
      const [sources, destinations] = [block.column(column.source), block.column(column.destination)];
      const ports = block.column(column.destinationPort);
      const protocols = block.column(column.protocol);
      const [owners, peers] = [block.column(column.process), block.column(column.peerProcess)];
      const kinds = block.column(column.kind);
      const starts = block.column(column.start);
      for (const [index, row] of rows.rows.entries()) {
        const each = rows.traffic[index] as Traffic;
        sum(total, each);
        const [source, destination] = [sources[row] as number, destinations[row] as number];
        byAddress.add(source, each);
        if (destination !== source) byAddress.add(destination, each);
        const [owner, peer] = [owners[row] as number, peers[row] as number];
        if (owner !== 0) byProcess.add(owner, each);
        if (peer !== 0 && peer !== owner) byProcess.add(peer, each);
        const protocol = (protocols[row] as number) & 0xff;
        const isIcmp = protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6;
        const service = (destination * 65_536 + (isIcmp ? 0 : (ports[row] as number))) * 256 + protocol;
        sumAt(byService, service, each);
        if (!isOutward(kinds[row] as number)) continue;
        const entry = byFresh.get(destination);
        if (entry === undefined) byFresh.set(destination, { ...each, firstMs: starts[row] as number });
        else {
          sum(entry, each);
          entry.firstMs = Math.min(entry.firstMs, starts[row] as number);
        }
      }
      const ipOf = (index: number): string => {
        block.address(index, bytesOf, 0);
        return formatAddress(bytesOf);
      };
      const texts = new Map<number, string>();
      const ip = (index: number): string => {
        const text = texts.get(index) ?? ipOf(index);
        texts.set(index, text);
        return text;
      };
      byAddress.each((index, each) => {
        talkers.add(ip(index), each.bytes, each, { name: names(index) });
      });
      byProcess.each((index, each) => {
        const { comm, unit, container } = block.processes[index] as FlowProcess;
        processes.add(JSON.stringify([comm, unit, container]), each.bytes, each, { comm, unit, container });
      });
      for (const [key, each] of byService) {
        const protocol = protocolName(key % 256);
        const port = Math.floor(key / 256) % 65_536;
        const address = Math.floor(key / 2 ** 24);
        const detail = { ip: ip(address), port, protocol, name: names(address) };
        services.add(`${detail.ip} ${port} ${protocol}`, each.bytes, each, detail);
      }
      for (const [index, { firstMs, ...each }] of byFresh) {
        block.address(index, bytesOf, 0);
        if (!known.has(bytesOf)) fresh.add(ip(index), each.flows, each, { name: names(index), firstMs });
      }
    },
    addKnown(block, sinceMs, untilMs) {
      const ends = block.column(column.end);
      const destinations = block.column(column.destination);
      const kinds = block.column(column.kind);
      const isAdded = new Uint8Array(block.addressCount);
      for (let row = 0; row < block.count; row++) {
        const index = destinations[row] as number;
        const end = ends[row] as number;
        if (isAdded[index] === 1 || end < sinceMs || end >= untilMs || !isOutward(kinds[row] as number))
          continue;
        isAdded[index] = 1;
        block.address(index, bytesOf, 0);
        known.add(bytesOf);
      }
    },
  };
}

/** Opened by this host to another, or passed on. */
function isOutward(kind: number): boolean {
  const place = places[(kind >>> 16) & 0xff];
  return place === "forwarded" || (place === "local" && kind >>> 24 === 1);
}

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
    for (let row = 0; row < block.count; row++)
      if (textOf[row] !== 0) names[addressOf[row] as number] = textOf[row] as number;
  }
  return (address) => (names[address] === 0 ? null : (block.strings[names[address] as number] as string));
}

function sum(into: Traffic, { flows, bytes, packets }: Traffic): void {
  into.flows += flows;
  into.bytes += bytes;
  into.packets += packets;
}

function sumAt(into: Map<number, Traffic>, key: number, each: Traffic): void {
  const known = into.get(key);
  if (known === undefined) into.set(key, { ...each });
  else sum(known, each);
}

function tally(size: number) {
  const flows = new Float64Array(size);
  const bytes = new Float64Array(size);
  const packets = new Float64Array(size);
  const isThere = new Uint8Array(size);
  return {
    add(index: number, each: Traffic): void {
      isThere[index] = 1;
      flows[index] = (flows[index] as number) + each.flows;
      bytes[index] = (bytes[index] as number) + each.bytes;
      packets[index] = (packets[index] as number) + each.packets;
    },
    each(take: (index: number, traffic: Traffic) => void): void {
      for (let index = 0; index < size; index++)
        if (isThere[index] === 1)
          take(index, {
            flows: flows[index] as number,
            bytes: bytes[index] as number,
            packets: packets[index] as number,
          });
    },
  };
}
