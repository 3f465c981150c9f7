/**
 * A DNS message as far as it tells who asked for what and got which addresses: RFC 1035 §4, RFC 6891 (EDNS).
 * Works on what was captured: a message that is cut tells what came before the cut.
 */
import { dnsType } from "./dns-codes.ts";
import { escapeByte, lowerCase } from "./text.ts";

/** What one message may ask of the reader. */
export const dnsLimits = {
  /** Bytes of a name in wire form, RFC 1035 §2.3.4; also bounds its labels to 127. */
  nameBytes: 255,
  /** Pointers followed for one name. Each must point before the last, so that loops cannot be; servers make 1 or 2. */
  jumps: 16,
  /** Records read of one message: a response of 4096 bytes has at most 255 addresses. */
  records: 512,
  /** Answers kept: more addresses than that no client ever tries. */
  answers: 64,
} as const;

export interface DnsAnswer {
  /** Whom it is about; equals the question's name, or what a CNAME made of it. */
  readonly owner: string;
  /** Of `dnsType`: a, aaaa or cname. */
  readonly type: number;
  readonly ttlSeconds: number;
  /** 16 bytes, IPv4 as ::ffff:a.b.c.d; empty for a CNAME. */
  readonly address: Uint8Array;
  /** Of a CNAME; else empty. */
  readonly target: string;
}

export interface DnsMessage {
  readonly id: number;
  readonly isResponse: boolean;
  /** With the upper bits of EDNS, if that was within what was captured. */
  readonly rcode: number;
  /** Lower case, without the last dot, `.` for the root; bytes that are not printable as `\DDD`. */
  readonly name: string;
  readonly type: number;
  readonly answers: readonly DnsAnswer[];
  /** The smallest of the answers; null without answers. */
  readonly ttlSeconds: number | null;
  /** False where records were cut off, damaged or beyond the limits. */
  readonly isComplete: boolean;
}

const HEADER = 12;
const noAnswers: readonly DnsAnswer[] = [];
const noAddress = new Uint8Array(0);

/**
 * @param prefixed over TCP, where two bytes of length come first; some send these in a segment of their own, so a
 *   message without them is taken too.
 * @returns undefined for what is no standard query or response with one question.
 */
export function parseDns(bytes: Uint8Array, prefixed = false): DnsMessage | undefined {
  if (!prefixed) return parseMessage(bytes);
  if (bytes.length < 2) return undefined;
  const length = u16(bytes, 0);
  return parseMessage(bytes.subarray(2, 2 + length)) ?? parseMessage(bytes);
}

function parseMessage(bytes: Uint8Array): DnsMessage | undefined {
  if (bytes.length < HEADER) return undefined;
  const flags = u16(bytes, 2);
  const isStandard = (flags & 0x7800) === 0;
  if (!isStandard || u16(bytes, 4) !== 1) return undefined;
  const isResponse = flags >>> 15 === 1;
  const cursor: Cursor = { bytes, at: HEADER };
  const name = readName(cursor);
  if (name === undefined || cursor.at + 4 > bytes.length) return undefined;
  const type = u16(bytes, cursor.at);
  cursor.at += 4;
  const message = { id: u16(bytes, 0), isResponse, rcode: flags & 0xf, name, type };
  if (!isResponse) return { ...message, answers: noAnswers, ttlSeconds: null, isComplete: true };
  return { ...message, ...readRecords(cursor, message.rcode) };
}

interface Cursor {
  readonly bytes: Uint8Array;
  at: number;
}

type Records = Pick<DnsMessage, "rcode" | "answers" | "ttlSeconds" | "isComplete">;

function readRecords(cursor: Cursor, shortRcode: number): Records {
  const { bytes } = cursor;
  const inAnswer = u16(bytes, 6);
  const total = inAnswer + u16(bytes, 8) + u16(bytes, 10);
  const answers: DnsAnswer[] = [];
  let rcode = shortRcode;
  let ttlSeconds: number | null = null;
  let isComplete = total <= dnsLimits.records;
  for (let index = 0; index < total && index < dnsLimits.records; index++) {
    // Names behind the answers are only stepped over.
    const owner = index < inAnswer ? readName(cursor) : skipName(cursor);
    const at = cursor.at + 10;
    if (owner === undefined || at > bytes.length) return { rcode, answers, ttlSeconds, isComplete: false };
    const type = u16(bytes, at - 10);
    const length = u16(bytes, at - 2);
    if (at + length > bytes.length) return { rcode, answers, ttlSeconds, isComplete: false };
    if (index < inAnswer) {
      // RFC 2181 §8: a TTL with the highest bit counts as 0.
      const ttl = (bytes[at - 6] as number) > 127 ? 0 : u16(bytes, at - 6) * 65_536 + u16(bytes, at - 4);
      const answer = readAnswer(cursor, owner, type, ttl, at, length);
      if (answer !== undefined && answers.length < dnsLimits.answers) {
        answers.push(answer);
        if (ttlSeconds === null || ttl < ttlSeconds) ttlSeconds = ttl;
      } else if (answer !== undefined) isComplete = false;
    } else if (type === dnsType.opt) rcode |= (bytes[at - 6] as number) << 4;
    cursor.at = at + length;
  }
  return { rcode, answers, ttlSeconds, isComplete };
}

function readAnswer(
  cursor: Cursor,
  owner: string,
  type: number,
  ttlSeconds: number,
  at: number,
  length: number,
): DnsAnswer | undefined {
  const { bytes } = cursor;
  const isInternet = u16(bytes, at - 8) === 1;
  if (!isInternet) return undefined;
  if (type === dnsType.a && length === 4) {
    const address = new Uint8Array(16);
    address[10] = 0xff;
    address[11] = 0xff;
    address.set(bytes.subarray(at, at + 4), 12);
    return { owner, type, ttlSeconds, address, target: "" };
  }
  if (type === dnsType.aaaa && length === 16)
    return { owner, type, ttlSeconds, address: bytes.slice(at, at + 16), target: "" };
  if (type !== dnsType.cname) return undefined;
  cursor.at = at;
  const target = readName(cursor);
  return target === undefined ? undefined : { owner, type, ttlSeconds, address: noAddress, target };
}

/** Moves behind the name. @returns undefined if it is cut, too long, or its pointers do not lead backwards. */
function readName(cursor: Cursor): string | undefined {
  const { bytes } = cursor;
  let { at } = cursor;
  let end = -1;
  let earliest = at;
  let jumps = 0;
  let size = 1;
  let name = "";
  for (;;) {
    const length = bytes[at];
    if (length === undefined) return undefined;
    if (length === 0) break;
    if (length >= 0xc0) {
      const low = bytes[at + 1];
      if (low === undefined || ++jumps > dnsLimits.jumps) return undefined;
      if (end < 0) end = at + 2;
      at = ((length & 0x3f) << 8) | low;
      if (at >= earliest) return undefined;
      earliest = at;
      continue;
    }
    // 0x40 and 0x80: label types that were never or are no longer used (RFC 6891 §5).
    if (length > 63 || at + 1 + length > bytes.length) return undefined;
    size += length + 1;
    if (size > dnsLimits.nameBytes) return undefined;
    if (name !== "") name += ".";
    for (let index = at + 1; index <= at + length; index++) {
      const byte = bytes[index] as number;
      // A dot inside a label is not the dot between two.
      name += byte === 0x2e ? "\\." : escapeByte(lowerCase(byte));
    }
    at += length + 1;
  }
  cursor.at = end < 0 ? at + 1 : end;
  return name === "" ? "." : name;
}

/** Moves behind the name without following its pointers. @returns "" or, if it is cut, undefined. */
function skipName(cursor: Cursor): string | undefined {
  for (;;) {
    const length = cursor.bytes[cursor.at];
    if (length === undefined) return undefined;
    cursor.at += length >= 0xc0 ? 2 : length + 1;
    if (length === 0 || length >= 0xc0) return "";
  }
}

function u16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
