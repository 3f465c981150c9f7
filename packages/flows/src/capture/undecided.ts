/**
 * What events told of flows that came in from a device: whether they are forwarded shows only when their first packet
 * leaves again, after the event. Their place is asked for at the next read of the map; until then they are in no sum,
 * since a counter that has said "local" cannot take it back.
 */
import type { Delta } from "./table.ts";

export interface Undecided {
  /** Known packets and bytes that are in no sum yet. */
  readonly packets: number;
  readonly bytes: number;
  add(slot: number, delta: Delta): void;
  /** Hands over the first `count`, for good. */
  settle(count: number, enter: (slot: number, delta: Delta) => void): void;
  readonly count: number;
}

const FIELDS = 5;

export function createUndecided(): Undecided {
  let entries = new Float64Array(1024 * FIELDS);
  let count = 0;
  let packets = 0;
  let bytes = 0;
  const delta: Delta = new Float64Array(4);
  return {
    get packets() {
      return packets;
    },
    get bytes() {
      return bytes;
    },
    get count() {
      return count;
    },
    add(slot, { 0: packets0 = 0, 1: packets1 = 0, 2: bytes0 = 0, 3: bytes1 = 0 }) {
      if (count * FIELDS === entries.length) {
        const larger = new Float64Array(2 * entries.length);
        larger.set(entries);
        entries = larger;
      }
      const at = count++ * FIELDS;
      entries[at] = slot;
      entries[at + 1] = packets0;
      entries[at + 2] = packets1;
      entries[at + 3] = bytes0;
      entries[at + 4] = bytes1;
      packets += packets0 + packets1;
      bytes += bytes0 + bytes1;
    },
    settle(first, enter) {
      for (let at = 0; at < first * FIELDS; at += FIELDS) {
        for (let field = 0; field < 4; field++) delta[field] = entries[at + 1 + field] as number;
        packets -= (delta[0] as number) + (delta[1] as number);
        bytes -= (delta[2] as number) + (delta[3] as number);
        enter(entries[at] as number, delta);
      }
      entries.copyWithin(0, first * FIELDS, count * FIELDS);
      count -= first;
    },
  };
}
