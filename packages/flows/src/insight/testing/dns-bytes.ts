/** DNS messages for tests: every field that a test may want to falsify can be given. */
import { bytesOf } from "../../testing/frames.ts";

export interface TestRecord {
  readonly owner: Uint8Array;
  readonly type: number;
  readonly ttl?: number;
  readonly class?: number;
  readonly data: Uint8Array | readonly number[];
}

export interface TestDns {
  readonly id?: number;
  readonly flags?: number;
  readonly questions?: number;
  readonly name?: Uint8Array;
  readonly type?: number;
  readonly answers?: readonly TestRecord[];
  readonly additional?: readonly TestRecord[];
}

/** Labels, then the root; `at` in place of the root is a pointer. */
export function wireName(text: string, at?: number): Uint8Array {
  const labels =
    text === "" ? [] : text.split(".").map((label) => bytesOf([label.length], Buffer.from(label)));
  return bytesOf(...labels, at === undefined ? [0] : pointer(at));
}

/** The question's name begins at byte 12. */
export function pointer(at: number): Uint8Array {
  return Uint8Array.of(0xc0 | (at >>> 8), at & 0xff);
}

export function dnsBytes(message: TestDns): Uint8Array {
  const { id = 0x1234, flags = 0x0100, questions = 1, name = wireName("example.com"), type = 1 } = message;
  const { answers = [], additional = [] } = message;
  const words = [id, flags, questions, answers.length, 0, additional.length];
  const records = [...answers, ...additional].map((record) =>
    bytesOf(
      record.owner,
      be16(record.type),
      be16(record.class ?? 1),
      be16((record.ttl ?? 300) >>> 16),
      be16((record.ttl ?? 300) & 0xffff),
      be16(record.data.length),
      record.data,
    ),
  );
  return bytesOf(...words.map(be16), name, be16(type), be16(1), ...records);
}

function be16(value: number): number[] {
  return [(value >>> 8) & 0xff, value & 0xff];
}
