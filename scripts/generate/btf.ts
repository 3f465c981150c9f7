/** Reads BTF, the types of a BPF object or of the kernel: Documentation/bpf/btf.rst. */
import { textAt } from "./elf.ts";

/** `BTF_KIND_*`. */
export const kind = {
  pointer: 2,
  array: 3,
  struct: 4,
  union: 5,
  typedef: 8,
  function: 12,
  variable: 14,
  section: 15,
} as const;

export interface BtfMember {
  readonly name: string;
  readonly type: number;
  /** From the struct's begin; of a variable in a section in bytes. */
  readonly offset: number;
}

export interface BtfType {
  readonly id: number;
  readonly kind: number;
  readonly name: string;
  /** Bytes of a struct; of what refers to another type, that one's number. */
  readonly sizeOrType: number;
  /** Of structs, unions and sections. */
  readonly members: readonly BtfMember[];
  /** Of an array: what it holds, and how many. */
  readonly element: number;
  readonly count: number;
}

export interface Btf {
  /** By number; 0 is void. */
  readonly types: readonly BtfType[];
  textAt(offset: number): string;
}

const MAGIC = 0xeb9f;
const noType: BtfType = { id: 0, kind: 0, name: "void", sizeOrType: 0, members: [], element: 0, count: 0 };

export function readBtf(view: DataView<ArrayBuffer>): Btf {
  if (view.getUint16(0, true) !== MAGIC) throw new Error("no BTF");
  const u32 = (at: number): number => view.getUint32(at, true);
  const start = u32(4);
  const end = start + u32(8) + u32(12);
  const texts = new DataView(view.buffer, view.byteOffset + start + u32(16), u32(20));
  const text = (offset: number): string => textAt(texts, offset);
  const types = [noType];
  for (let at = start + u32(8); at < end; ) {
    const info = u32(at + 4);
    const type = (info >>> 24) & 0x1f;
    const count = info & 0xffff;
    const after = at + 12;
    const isRecord = type === kind.struct || type === kind.union;
    // With the flag set, the upper byte of an offset is the width of a bit-field.
    const offsetBits = info >>> 31 === 1 ? 0xff_ffff : 0xffff_ffff;
    const members = Array.from(
      { length: isRecord || type === kind.section ? count : 0 },
      (_, index): BtfMember => {
        const member = after + 12 * index;
        return isRecord
          ? { name: text(u32(member)), type: u32(member + 4), offset: (u32(member + 8) & offsetBits) >>> 0 }
          : { name: "", type: u32(member), offset: u32(member + 4) };
      },
    );
    types.push({
      id: types.length,
      kind: type,
      name: text(u32(at)),
      sizeOrType: u32(at + 8),
      members,
      element: type === kind.array ? u32(after) : 0,
      count: type === kind.array ? u32(after + 8) : count,
    });
    at = after + trailingBytes(type, count);
  }
  return { types, textAt: text };
}

/** What follows the 12 bytes of a type, by its kind. */
function trailingBytes(type: number, count: number): number {
  const [INTEGER, ENUM, PROTOTYPE, TAG, ENUM64] = [1, 6, 13, 17, 19];
  if (type === INTEGER || type === kind.variable || type === TAG) return 4;
  if (type === kind.array) return 12;
  if (type === kind.struct || type === kind.union || type === kind.section || type === ENUM64)
    return 12 * count;
  return type === ENUM || type === PROTOTYPE ? 8 * count : 0;
}
