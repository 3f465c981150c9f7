/** What queries and answers teach of names, straight from the definitions: the oracle of bpf/names.h. */
import { formatAddress } from "../../address.ts";
import { nameMatches } from "../language/dns-names.ts";
import type { NameEntry } from "../tables.ts";

/** As much as the kernel reads of a message. */
const MOST_BYTES = 4096;
const MOST_NAME_BYTES = 255;

export interface NameOracle {
  /** @param flow whatever tells connections apart. */
  query(flow: string, bytes: Uint8Array): void;
  answer(flow: string, bytes: Uint8Array): void;
  /** Address → peer → the longest time that it was admitted for, in seconds. */
  readonly admitted: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

export interface NameOracleOptions {
  readonly names: readonly NameEntry[];
  readonly shortestSeconds: number;
  readonly longestSeconds: number;
  /** Of an address. */
  readonly mostPeers: number;
}

export function nameOracle({
  names,
  shortestSeconds,
  longestSeconds,
  mostPeers,
}: NameOracleOptions): NameOracle {
  const asked = new Set<string>();
  const admitted = new Map<string, Map<number, number>>();
  const peersOf = (labels: readonly string[]): number[] => {
    if (labels.length === 0 || !labels.every((label) => /^[-a-z0-9_]+$/.test(label))) return [];
    return names
      .filter(({ kind, text }) =>
        nameMatches(kind === "name" ? { kind, name: text } : { kind, pattern: text }, labels.join(".")),
      )
      .map(({ peer }) => peer);
  };
  const admit = (address: Uint8Array, peers: readonly number[], ttl: number): void => {
    const seconds = Math.min(longestSeconds, Math.max(shortestSeconds, ttl >= 2 ** 31 ? 0 : ttl));
    const text = formatAddress(address);
    const held = admitted.get(text) ?? new Map<number, number>();
    admitted.set(text, held);
    for (const peer of peers)
      if (held.has(peer) || held.size < mostPeers) held.set(peer, Math.max(seconds, held.get(peer) ?? 0));
  };
  return {
    admitted,
    query(flow, bytes) {
      const read = questionOf(bytes);
      if (read === undefined || read.isAnswer || peersOf(read.labels).length === 0) return;
      asked.add(`${flow} ${read.key}`);
    },
    answer(flow, bytes) {
      const read = questionOf(bytes);
      if (read === undefined || !read.isAnswer) return;
      const peers = peersOf(read.labels);
      if (peers.length === 0 || !asked.delete(`${flow} ${read.key}`) || read.isError) return;
      for (const { address, ttl } of addressesIn(bytes, read.end)) admit(address, peers, ttl);
    },
  };
}

interface Question {
  readonly isAnswer: boolean;
  readonly isError: boolean;
  readonly labels: readonly string[];
  readonly key: string;
  readonly end: number;
}

/** Undefined where it is no message with one question of the internet. */
function questionOf(bytes: Uint8Array): Question | undefined {
  const message = Buffer.from(bytes.subarray(0, MOST_BYTES));
  if (message.length < 12) return undefined;
  const [first, second] = [message.readUInt8(2), message.readUInt8(3)];
  if ((first & 0x78) !== 0 || message.readUInt16BE(4) !== 1) return undefined;
  const labels: string[] = [];
  let at = 12;
  for (;;) {
    const length = message[at];
    if (length === undefined || length > 63) return undefined;
    at++;
    if (length === 0) break;
    if (at + length > message.length) return undefined;
    labels.push(
      message.toString("latin1", at, at + length).replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
    );
    at += length;
  }
  if (at - 12 > MOST_NAME_BYTES || at + 4 > message.length || message.readUInt16BE(at + 2) !== 1)
    return undefined;
  return {
    isAnswer: (first & 0x80) !== 0,
    isError: (second & 0x0f) !== 0,
    labels,
    key: JSON.stringify([message.readUInt16BE(0), message.readUInt16BE(at), labels]),
    end: at + 4,
  };
}

/** Those of the answer section, up to where it cannot be read. */
function addressesIn(
  bytes: Uint8Array,
  begin: number,
): { readonly address: Uint8Array; readonly ttl: number }[] {
  const message = Buffer.from(bytes.subarray(0, MOST_BYTES));
  const found: { readonly address: Uint8Array; readonly ttl: number }[] = [];
  let at = begin;
  for (let left = message.readUInt16BE(6); left > 0; left--) {
    const end = endOfName(message, at);
    if (end === undefined || end + 10 > message.length) break;
    const [type, kind, length] = [0, 2, 8].map((offset) => message.readUInt16BE(end + offset)) as [
      number,
      number,
      number,
    ];
    const ttl = message.readUInt32BE(end + 4);
    const data = end + 10;
    at = data + length;
    if (at > message.length) break;
    const value = message.subarray(data, at);
    if (kind !== 1) continue;
    if (type === 1 && length === 4)
      found.push({ address: Uint8Array.of(...Array<number>(10).fill(0), 0xff, 0xff, ...value), ttl });
    if (type === 28 && length === 16) found.push({ address: Uint8Array.from(value), ttl });
  }
  return found;
}

/** Where the name at `at` ends; a pointer ends it wherever it points. */
function endOfName(message: Buffer, at: number): number | undefined {
  for (;;) {
    const length = message[at];
    if (length === undefined) return undefined;
    if (length === 0) return at + 1;
    if (length >= 0xc0) return at + 2;
    if (length > 63) return undefined;
    at += 1 + length;
  }
}
