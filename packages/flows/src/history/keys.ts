/**
 * What the sketch of a block has of its rows, and what a query wants it to have. Both sides stand here: a key that only
 * one of them has would hide rows.
 */

import { isMappedIPv4 } from "../address.ts";
import { type AddressPrefix, parseAddressPrefix, requireName, requireProtocol } from "../filter.ts";
import type { FlowQuery } from "../flow.ts";
import { verdictOf } from "../recording/record.ts";
import { verdicts } from "../verdicts.ts";
import { column, type Rows } from "./columns.ts";
import type { Dictionaries } from "./dictionaries.ts";
import {
  addressKey,
  containerKey,
  droppedKey,
  isServicePort,
  nameKey,
  nameKeys,
  portKey,
  prefixKey,
  processKey,
  processKeys,
  protocolKey,
  type SketchForm,
  type SketchKey,
  serviceKey,
  unitKey,
  verdictKey,
} from "./sketch.ts";

/** Bits of 128; IPv4 is ::ffff:a.b.c.d. A longer prefix is looked for by this one. */
const prefixBits = { ipv4: 112, ipv6: 48 } as const;

/** Those that a sketch tells. */
const judged = [verdicts.indexOf("audit"), verdicts.indexOf("dropped")];

/** Indexes into dictionaries that a block needs. */
interface Used {
  readonly addresses: readonly number[];
  readonly strings: readonly number[];
  readonly processes: readonly number[];
}

/** Of rows `from` to `to`, for a sketch of the second form. */
export function keysOfRows(rows: Rows, from: number, to: number, used: Used, all: Dictionaries): SketchKey[] {
  const keys = addressKeys(used.addresses, all);
  for (const index of used.strings) keys.push(...nameKeys(all.strings[index] as string));
  for (const index of used.processes) {
    const process = all.processes[index];
    if (process != null) keys.push(...processKeys(process));
  }
  keys.push(...serviceKeys(rows, from, to));
  const drops = rows.columns[column.drops] as Float64Array;
  if (drops.subarray(from, to).some((count) => count > 0)) keys.push(droppedKey);
  const kinds = (rows.columns[column.kind] as Float64Array).subarray(from, to);
  for (const verdict of judged)
    if (kinds.some((kind) => verdictOf(kind) === verdict)) keys.push(verdictKey(verdict));
  return keys;
}

function addressKeys(indexes: readonly number[], all: Dictionaries): SketchKey[] {
  const bytes = new Uint8Array(all.addresses.words.buffer);
  const keys: SketchKey[] = [];
  /** Where the prefix is already a key. */
  const isKnown = new Set<number>();
  for (const index of indexes) {
    const address = bytes.subarray(16 * index, 16 * index + 16);
    keys.push(addressKey(address));
    const isV4 = isMappedIPv4(address);
    let prefix = isV4 ? 1 : 0;
    for (let byte = isV4 ? 12 : 0; byte < (isV4 ? 14 : 6); byte++)
      prefix = prefix * 256 + (address[byte] as number);
    // 48 bits, and those of IPv4 apart.
    const place = isV4 ? -prefix : prefix;
    if (isKnown.has(place)) continue;
    isKnown.add(place);
    keys.push(prefixKey(address, isV4 ? prefixBits.ipv4 : prefixBits.ipv6));
  }
  return keys;
}

function serviceKeys({ columns }: Rows, from: number, to: number): SketchKey[] {
  const protocols = columns[column.protocol] as Float64Array;
  const services = new Set<number>();
  for (const ports of [columns[column.sourcePort], columns[column.destinationPort]] as const)
    for (let row = from; row < to; row++) {
      const port = (ports as Float64Array)[row] as number;
      // Of others there would be thousands.
      services.add(((protocols[row] as number) & 0xff) * 65_536 + (isServicePort(port) ? port : 0));
    }
  return [...services].flatMap((service) => {
    const [protocol, port] = [Math.floor(service / 65_536), service % 65_536];
    return [protocolKey(protocol), portKey(port), serviceKey(protocol, port)].filter(
      (key) => key !== undefined,
    );
  });
}

/** What a sketch must have, where a row matches. @throws X0_FLOWS_INVALID_FILTER */
export function keysOfQuery(query: Omit<FlowQuery, "limit">, form: SketchForm): SketchKey[] {
  const { ip, port, process, unit, container, name, dropped } = query;
  const verdict = query.verdict === undefined ? 0 : verdicts.indexOf(query.verdict);
  const prefix = ip === undefined ? undefined : parseAddressPrefix(ip);
  const protocol = query.protocol === undefined ? undefined : requireProtocol(query.protocol);
  const keys = [
    prefix === undefined ? undefined : keyOfPrefix(prefix, form),
    port === undefined ? undefined : portKey(port),
    protocol === undefined || form === 1 ? undefined : protocolKey(protocol),
    protocol === undefined || port === undefined || form === 1 ? undefined : serviceKey(protocol, port),
    process === undefined ? undefined : processKey(process),
    unit === undefined ? undefined : unitKey(unit),
    container === undefined ? undefined : containerKey(container),
    name === undefined ? undefined : nameKey(requireName(name).replace(/^\*/, "")),
    dropped === "true" ? droppedKey : undefined,
    // Nearly all are forwarded; files of before policies hold no others.
    verdict === 0 ? undefined : verdictKey(verdict),
  ];
  return keys.filter((key) => key !== undefined);
}

function keyOfPrefix({ bytes, prefixBits: bits }: AddressPrefix, form: SketchForm): SketchKey | undefined {
  if (bits === 128) return addressKey(bytes);
  // A shorter one than 96 bits means IPv6, whatever it begins with.
  const known = bits >= 96 && isMappedIPv4(bytes) ? prefixBits.ipv4 : prefixBits.ipv6;
  return form === 1 || bits < known ? undefined : prefixKey(bytes, known);
}
