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
import { createSketchKeys, type SketchKeys } from "./sketch-keys.ts";

/** Bits of 128; IPv4 is ::ffff:a.b.c.d. A longer prefix is looked for by this one. */
const prefixBits = { ipv4: 112, ipv6: 48 } as const;

/** Those that a sketch tells. */
const judged = [verdicts.indexOf("audit"), verdicts.indexOf("dropped")];

/** A bit for each service port, and for those that are none. */
const PORT_WORDS = 65_536 / 32;

/** Indexes into dictionaries that a block needs. */
interface Used {
  readonly addresses: readonly number[];
  readonly strings: readonly number[];
  readonly processes: readonly number[];
}

/** Of rows `from` to `to`, for a sketch of the second form. */
export function keysOfRows(rows: Rows, from: number, to: number, used: Used, all: Dictionaries): SketchKeys {
  const keys = createSketchKeys();
  addAddresses(keys, used.addresses, all);
  for (const index of used.strings) for (const key of nameKeys(all.strings[index] as string)) keys.add(key);
  for (const index of used.processes) {
    const process = all.processes[index];
    if (process != null) for (const key of processKeys(process)) keys.add(key);
  }
  addServices(keys, rows, from, to);
  const drops = rows.columns[column.drops] as Float64Array;
  const kinds = rows.columns[column.kind] as Float64Array;
  let hasDrops = false;
  const hasVerdict = judged.map(() => false);
  for (let row = from; row < to; row++) {
    hasDrops ||= (drops[row] as number) > 0;
    const which = judged.indexOf(verdictOf(kinds[row] as number));
    if (which >= 0) hasVerdict[which] = true;
  }
  if (hasDrops) keys.add(droppedKey);
  for (const [which, verdict] of judged.entries()) if (hasVerdict[which]) keys.add(verdictKey(verdict));
  return keys;
}

function addAddresses(keys: SketchKeys, indexes: readonly number[], all: Dictionaries): void {
  const bytes = new Uint8Array(all.addresses.words.buffer);
  /** Where the prefix is already a key. */
  const isKnown = new Set<number>();
  for (const index of indexes) {
    const at = 16 * index;
    keys.address(bytes, at);
    const isV4 = isMappedIPv4(bytes, at);
    let prefix = isV4 ? 1 : 0;
    for (let byte = at + (isV4 ? 12 : 0); byte < at + (isV4 ? 14 : 6); byte++)
      prefix = prefix * 256 + (bytes[byte] as number);
    // 48 bits, and those of IPv4 apart.
    const place = isV4 ? -prefix : prefix;
    if (isKnown.has(place)) continue;
    isKnown.add(place);
    keys.prefix(bytes, at, isV4 ? prefixBits.ipv4 : prefixBits.ipv6);
  }
}

/** Of others than service ports there would be thousands. */
function addServices(keys: SketchKeys, { columns }: Rows, from: number, to: number): void {
  const protocols = columns[column.protocol] as Float64Array;
  /** By protocol, a bit a port; and the ports of all. */
  const known: (Uint32Array | undefined)[] = [];
  const knownPorts = new Uint32Array(PORT_WORDS);
  for (const ports of [columns[column.sourcePort], columns[column.destinationPort]] as const)
    for (let row = from; row < to; row++) {
      const protocol = (protocols[row] as number) & 0xff;
      const port = (ports as Float64Array)[row] as number;
      let ofProtocol = known[protocol];
      if (ofProtocol === undefined) {
        ofProtocol = new Uint32Array(PORT_WORDS);
        known[protocol] = ofProtocol;
        keys.add(protocolKey(protocol));
      }
      if (!isServicePort(port) || !isNew(ofProtocol, port)) continue;
      keys.service(protocol, port);
      if (isNew(knownPorts, port)) keys.port(port);
    }
}

/** Whether the bit was clear; it is set then. */
function isNew(bits: Uint32Array, index: number): boolean {
  const before = bits[index >>> 5] as number;
  const bit = 1 << (index & 31);
  if ((before & bit) !== 0) return false;
  bits[index >>> 5] = before | bit;
  return true;
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
