/** Tallies as a file keeps them: JSON in a zstd frame, whose checksum tells a damaged one. */
import { zstdDecompressSync } from "node:zlib";
import { compress } from "../history/packed.ts";
import { createTallies, serviceKey, type Tallies, type Tally, type Traffic } from "./tallies.ts";

/** What a damaged or foreign one may unpack to: half a kilobyte for each key that there can be, and there are four lists. */
const MOST_BYTES = 4 * 2 * 65_536 * 512;

const values = ({ flows, bytes, packets }: Traffic): number[] => [flows, bytes, packets];

export function packTallies({ total, talkers, services, processes, destinations }: Tallies): Uint8Array {
  const lists = [
    values(total),
    [...talkers].map(([ip, { traffic, detail }]) => [...values(traffic), ip, detail.name]),
    [...services.values()].map(({ traffic, detail: { ip, port, protocol, name } }) => [
      ...values(traffic),
      ip,
      port,
      protocol,
      name,
    ]),
    [...processes.values()].map(({ traffic, detail: { comm, unit, container } }) => [
      ...values(traffic),
      comm,
      unit,
      container,
    ]),
    [...destinations].map(([ip, { traffic, detail }]) => [
      ...values(traffic),
      ip,
      detail.firstMs,
      detail.name,
    ]),
  ];
  return compress(Buffer.from(JSON.stringify(lists)));
}

/** @throws RangeError, SyntaxError or zlib's errors for what `packTallies` has not written */
export function unpackTallies(packed: Uint8Array): Tallies {
  const lists: unknown = JSON.parse(zstdDecompressSync(packed, { maxOutputLength: MOST_BYTES }).toString());
  if (!Array.isArray(lists) || lists.length !== 5) throw damaged();
  const tallies = createTallies();
  const [total, talkers, services, processes, destinations] = lists as unknown[];
  Object.assign(tallies.total, trafficOf(listOf(total)));
  for (const row of rowsOf(talkers))
    put(tallies.talkers, text(row[3]), row, { name: row[4] === null ? null : text(row[4]) });
  for (const row of rowsOf(services)) {
    const detail = { ip: text(row[3]), port: whole(row[4]), protocol: text(row[5]), name: maybeText(row[6]) };
    put(tallies.services, serviceKey(detail), row, detail);
  }
  for (const row of rowsOf(processes)) {
    const detail = { comm: text(row[3]), unit: maybeText(row[4]), container: maybeText(row[5]) };
    put(tallies.processes, JSON.stringify([detail.comm, detail.unit, detail.container]), row, detail);
  }
  for (const row of rowsOf(destinations))
    put(tallies.destinations, text(row[3]), row, { firstMs: whole(row[4]), name: maybeText(row[5]) });
  return tallies;
}

function put<Detail>(into: Map<string, Tally<Detail>>, key: string, row: readonly unknown[], detail: Detail) {
  into.set(key, { traffic: trafficOf(row), detail });
}

function trafficOf([flows, bytes, packets]: readonly unknown[]): Traffic {
  return { flows: whole(flows), bytes: whole(bytes), packets: whole(packets) };
}

function rowsOf(list: unknown): (readonly unknown[])[] {
  return listOf(list).map(listOf);
}

function listOf(list: unknown): readonly unknown[] {
  if (Array.isArray(list)) return list;
  throw damaged();
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw damaged();
}

function maybeText(value: unknown): string | null {
  return value === null ? null : text(value);
}

function whole(value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw damaged();
}

function damaged(): RangeError {
  return new RangeError("the sums of a file are damaged");
}
