/**
 * Enumerations from BTF, the kernel's description of its own types: Documentation/bpf/btf.rst. Reads piece by piece,
 * since the kernel's has 6 MB of which a few hundred bytes are wanted.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** What a BTF file may ask of the reader. */
export const btfLimits = {
  /** Bytes of the types and of the strings: a kernel with everything built in has about 10 MB. */
  sectionBytes: 64 * 1024 * 1024,
  /** Bytes of a name: KSYM_NAME_LEN. */
  nameBytes: 512,
  /** Values of one enumeration kept: the drop reasons are about 130. */
  values: 4096,
  /** Read at once. */
  pieceBytes: 65_536,
} as const;

export type Enumeration = ReadonlyMap<string, number>;

export interface BtfReader {
  /** Reads `length` bytes at `at`; fewer where the file ends. */
  read(at: number, length: number): Uint8Array;
  close(): void;
}

export function openBtf(path: string): BtfReader {
  const fd = openSync(path, "r");
  return {
    read(at, length) {
      const bytes = new Uint8Array(length);
      let filled = 0;
      while (filled < length) {
        const count = readSync(fd, bytes, filled, length - filled, at + filled);
        if (count === 0) break;
        filled += count;
      }
      return bytes.subarray(0, filled);
    },
    close: () => closeSync(fd),
  };
}

const MAGIC = 0xeb9f;
const HEADER = 24;
const TYPE_HEADER = 12;
const kind = {
  array: 3,
  struct: 4,
  union: 5,
  enum: 6,
  function: 13,
  variable: 14,
  section: 15,
  tag: 17,
  enum64: 19,
};

interface Sections {
  readonly types: number;
  readonly typeBytes: number;
  readonly strings: number;
  readonly stringBytes: number;
}

/**
 * The enumerations with these names.
 *
 * @param base of a module's BTF, whose strings continue those of the kernel's.
 * @returns those that are there; none where the bytes are no BTF. What follows damaged types is not read.
 */
export function readEnumerations(
  btf: BtfReader,
  isWanted: (name: string) => boolean,
  base?: BtfReader,
): ReadonlyMap<string, Enumeration> {
  const found = new Map<string, Enumeration>();
  const sections = readSections(btf);
  const baseSections = base === undefined ? undefined : readSections(base);
  if (sections === undefined || (base !== undefined && baseSections === undefined)) return found;
  const nameAt = (offset: number): string => {
    const shared = baseSections?.stringBytes ?? 0;
    if (base !== undefined && baseSections !== undefined && offset < shared)
      return readName(base, baseSections, offset);
    return readName(btf, sections, offset - shared);
  };
  for (const { name, values } of enumerations(btf, sections)) {
    if (name === 0 || !isWanted(nameAt(name))) continue;
    const named = values().map(([nameOffset, value]) => [nameAt(nameOffset), value] as const);
    found.set(nameAt(name), new Map(named.filter(([text]) => text !== "")));
  }
  return found;
}

function readSections(btf: BtfReader): Sections | undefined {
  const header = btf.read(0, HEADER);
  if (header.length < HEADER) return undefined;
  const view = viewOf(header);
  if (view.getUint16(0, true) !== MAGIC || header[2] !== 1) return undefined;
  const start = view.getUint32(4, true);
  const sections = {
    types: start + view.getUint32(8, true),
    typeBytes: view.getUint32(12, true),
    strings: start + view.getUint32(16, true),
    stringBytes: view.getUint32(20, true),
  };
  const isSane =
    start >= HEADER &&
    Object.values(sections).every((value) => value <= btfLimits.sectionBytes) &&
    sections.typeBytes % 4 === 0;
  return isSane ? sections : undefined;
}

interface RawEnumeration {
  readonly name: number;
  /** To be called before the next one is asked for. Offsets of names, and values as unsigned. */
  readonly values: () => [number, number][];
}

function* enumerations(btf: BtfReader, sections: Sections): Generator<RawEnumeration> {
  const end = sections.types + sections.typeBytes;
  let at = sections.types;
  let piece = btf.read(at, Math.min(btfLimits.pieceBytes, end - at));
  let view = viewOf(piece);
  let pieceAt = at;
  while (at + TYPE_HEADER <= end) {
    if (at + TYPE_HEADER > pieceAt + piece.length) {
      piece = btf.read(at, Math.min(btfLimits.pieceBytes, end - at));
      if (piece.length < TYPE_HEADER) return;
      view = viewOf(piece);
      pieceAt = at;
    }
    const info = view.getUint32(at - pieceAt + 4, true);
    const count = info & 0xffff;
    const type = (info >>> 24) & 0x1f;
    if (type === kind.enum) {
      const valuesAt = at + TYPE_HEADER;
      const values = (): [number, number][] =>
        readValues(btf, valuesAt, Math.min(count, btfLimits.values), end);
      yield { name: view.getUint32(at - pieceAt, true), values };
    }
    at += TYPE_HEADER + trailingBytes(type, count);
  }
}

/** What follows a type's header, by its kind: include/uapi/linux/btf.h. */
function trailingBytes(type: number, count: number): number {
  if (type === 1 || type === kind.variable || type === kind.tag) return 4;
  if (type === kind.array) return 12;
  if (type === kind.struct || type === kind.union || type === kind.section || type === kind.enum64)
    return 12 * count;
  return type === kind.enum || type === kind.function ? 8 * count : 0;
}

function readValues(btf: BtfReader, at: number, count: number, end: number): [number, number][] {
  const bytes = btf.read(at, Math.max(0, Math.min(8 * count, end - at)));
  const view = viewOf(bytes);
  return Array.from({ length: Math.floor(bytes.length / 8) }, (_, index) => [
    view.getUint32(8 * index, true),
    view.getUint32(8 * index + 4, true),
  ]);
}

function readName(btf: BtfReader, sections: Sections, offset: number): string {
  if (offset < 0 || offset >= sections.stringBytes) return "";
  const length = Math.min(btfLimits.nameBytes, sections.stringBytes - offset);
  const bytes = btf.read(sections.strings + offset, length);
  const end = bytes.indexOf(0);
  // Names of C: all else is damage.
  const name = String.fromCharCode(...bytes.subarray(0, end < 0 ? 0 : end));
  return /^\w+$/.test(name) ? name : "";
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
