/**
 * `.BTF.ext`: which functions, source lines and CO-RE relocations a section's instructions have. Layout:
 * Documentation/bpf/btf.rst, chapter 3.
 */

import { recordBytes } from "../../packages/flows/src/kernel/object-format.ts";
import type { Btf } from "./btf.ts";

export type InfoKind = keyof typeof recordBytes;

export interface DebugInfo {
  /**
   * The records of instructions `from` to `until` of a section, moved so that the first would be at `to`. As the
   * kernel has them: functions and lines count instructions, relocations bytes.
   */
  records(info: InfoKind, section: string, from: number, until: number, to: number): Uint8Array[];
}

const HEADER_LENGTH_AT = 4;
/** Where the header has the begin of each part; its length follows. */
const parts = { functions: 8, lines: 16, relocations: 24 } as const;

export function readDebugInfo(view: DataView<ArrayBuffer>, btf: Btf): DebugInfo {
  const u32 = (at: number): number => view.getUint32(at, true);
  const found = new Map<string, Uint8Array[]>();
  for (const [info, part] of Object.entries(parts)) {
    const start = u32(HEADER_LENGTH_AT) + u32(part);
    const end = start + u32(part + 4);
    const size = end === start ? 0 : u32(start);
    if (end > start && size !== recordBytes[info as InfoKind])
      throw new Error(`records of ${info} have ${size} bytes`);
    for (let at = start + 4; at < end; ) {
      const records = Array.from({ length: u32(at + 4) }, (_, index) =>
        new Uint8Array(view.buffer, view.byteOffset + at + 8 + index * size, size).slice(),
      );
      found.set(`${info} ${btf.textAt(u32(at))}`, records);
      at += 8 + records.length * size;
    }
  }
  return {
    records: (info, section, from, until, to) =>
      (found.get(`${info} ${section}`) ?? []).flatMap((record) => {
        const instruction = new DataView(record.buffer).getUint32(0, true) / 8;
        if (instruction < from || instruction >= until) return [];
        const moved = record.slice();
        const place = instruction - from + to;
        new DataView(moved.buffer).setUint32(0, info === "relocations" ? place * 8 : place, true);
        return [moved];
      }),
  };
}
