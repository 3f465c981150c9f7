/** DNS messages as bytes, also ones that no server would send. RFC 1035 4. */
import { parseAddress } from "../../address.ts";

export const dnsType = { a: 1, cname: 5, txt: 16, aaaa: 28 } as const;

export interface DnsQuestion {
  readonly id: number;
  readonly name: string;
  readonly type?: number;
}

export interface DnsRecord {
  /** As bytes where it is not the question's name: a pointer to that by default. */
  readonly owner?: Uint8Array;
  readonly type: number;
  readonly class?: number;
  readonly ttl?: number;
  readonly data: Uint8Array;
}

const POINTER_TO_QUESTION = Uint8Array.of(0xc0, 12);
const RECURSION_DESIRED = 0x0100;
const RESPONSE = 0x8180;

export function nameBytes(name: string): Uint8Array {
  const labels = name === "" ? [] : name.split(".");
  return new Uint8Array(
    Buffer.concat(
      [...labels.map((label) => Buffer.from(`\0${label}`, "latin1")), Buffer.of(0)].map(withLength),
    ),
  );
}

function withLength(label: Buffer): Buffer {
  if (label.length > 1) label[0] = label.length - 1;
  return label;
}

export function dnsQuery({ id, name, type = dnsType.a }: DnsQuestion): Uint8Array {
  return message({ id, flags: RECURSION_DESIRED, counts: [1, 0, 0, 0] }, [
    nameBytes(name),
    u16(type),
    u16(1),
  ]);
}

export interface ReplyOptions {
  readonly flags?: number;
  readonly questions?: number;
  /** Falsifies how many records are said to follow. */
  readonly records?: number;
}

export function dnsReply(
  { id, name, type = dnsType.a }: DnsQuestion,
  records: readonly DnsRecord[],
  options: ReplyOptions = {},
): Uint8Array {
  const { flags = RESPONSE, questions = 1, records: told = records.length } = options;
  const question = [nameBytes(name), u16(type), u16(1)];
  const body = records.flatMap(
    ({ owner = POINTER_TO_QUESTION, type: kind, class: of = 1, ttl = 60, data }) => [
      owner,
      u16(kind),
      u16(of),
      u16(ttl >>> 16),
      u16(ttl & 0xffff),
      u16(data.length),
      data,
    ],
  );
  return message({ id, flags, counts: [questions, told, 0, 0] }, [...question, ...body]);
}

/** A or AAAA, by the address. */
export function addressRecord(address: string, more: Partial<DnsRecord> = {}): DnsRecord {
  const bytes = parseAddress(address) as Uint8Array;
  return address.includes(":")
    ? { type: dnsType.aaaa, data: bytes, ...more }
    : { type: dnsType.a, data: bytes.slice(12), ...more };
}

/** Before each message over TCP: RFC 1035 4.2.2. */
export function overTcp(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([u16(bytes.length), bytes]));
}

function message(
  { id, flags, counts }: { readonly id: number; readonly flags: number; readonly counts: readonly number[] },
  parts: readonly Uint8Array[],
): Uint8Array {
  return new Uint8Array(Buffer.concat([u16(id), u16(flags), ...counts.map(u16), ...parts]));
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value & 0xff);
}
