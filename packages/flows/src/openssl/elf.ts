/**
 * Where functions of an ELF file begin, as uprobes want it: the offset in the file. Reads the tables of sections,
 * segments and symbols only (System V ABI, chapters 4 and 5); the file itself may have hundreds of megabytes.
 */
import { closeSync, openSync, readSync } from "node:fs";

/** What an ELF file may ask of the reader. It may be anybody's: services run programs of their users. */
export const elfLimits = {
  /** Section headers: Linux' linkers write about 40. */
  sections: 512,
  /** Segments: about 14. */
  segments: 128,
  /** Bytes of a symbol table: Node's, with all of V8 and OpenSSL, has 1 MB, and .symtab 8. */
  symbolBytes: 16 * 1024 * 1024,
  /** Bytes of its names: Node's have 3 MB. */
  nameBytes: 32 * 1024 * 1024,
  /** Read at once. */
  pieceBytes: 1024 * 1024,
} as const;

const HEADER = 64;
const SECTION = 64;
const SEGMENT = 56;
const SYMBOL = 24;
const sectionType = { symbols: 2, dynamicSymbols: 11 } as const;
const LOAD = 1;
const FUNCTION = 2;

type Read = (at: number, length: number) => DataView | undefined;

/**
 * @param wanted names of functions, without version.
 * @returns file offsets by name, of those that the file defines; undefined where it is no 64-bit little-endian ELF
 *   file with a table of symbols.
 */
export function functionOffsets(
  path: string,
  wanted: readonly string[],
): ReadonlyMap<string, number> | undefined {
  const fd = openSync(path, "r");
  try {
    return findFunctions((at, length) => {
      if (at > Number.MAX_SAFE_INTEGER - length) return undefined;
      const bytes = new Uint8Array(length);
      const count = readSync(fd, bytes, 0, length, at);
      return count === length ? new DataView(bytes.buffer) : undefined;
    }, wanted);
  } finally {
    closeSync(fd);
  }
}

/** @param read undefined where the file is too short. */
export function findFunctions(
  read: Read,
  wanted: readonly string[],
): ReadonlyMap<string, number> | undefined {
  const header = read(0, HEADER);
  // Magic, 64 bits, little-endian.
  if (header?.getUint32(0) !== 0x7f454c46 || header.getUint16(4) !== 0x0201) return undefined;
  const segments = readSegments(read, header);
  const sections = readSections(read, header);
  if (segments === undefined || sections === undefined) return undefined;
  const tables = sections
    .filter(({ type }) => type === sectionType.dynamicSymbols || type === sectionType.symbols)
    // What a program exports is the shorter table.
    .toSorted((one, other) => other.type - one.type);
  for (const table of tables) {
    const names = sections[table.link];
    if (names === undefined) continue;
    const found = readSymbols(read, table, names, segments, new Set(wanted));
    if (found.size > 0) return found;
  }
  return tables.length === 0 ? undefined : new Map();
}

interface Part {
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** Of a segment: where it lies in memory. */
  readonly address: number;
  /** Of a section: the one with its names. */
  readonly link: number;
}

function readSegments(read: Read, header: DataView): readonly Part[] | undefined {
  const count = header.getUint16(56, true);
  if (count > elfLimits.segments || header.getUint16(54, true) !== SEGMENT) return undefined;
  const table = read(u64(header, 32), count * SEGMENT);
  if (table === undefined) return undefined;
  return Array.from({ length: count }, (_, index) => ({
    type: table.getUint32(index * SEGMENT, true),
    offset: u64(table, index * SEGMENT + 8),
    address: u64(table, index * SEGMENT + 16),
    size: u64(table, index * SEGMENT + 32),
    link: 0,
  })).filter(({ type }) => type === LOAD);
}

function readSections(read: Read, header: DataView): readonly Part[] | undefined {
  const count = header.getUint16(60, true);
  if (count > elfLimits.sections || header.getUint16(58, true) !== SECTION) return undefined;
  const table = read(u64(header, 40), count * SECTION);
  if (table === undefined) return undefined;
  return Array.from({ length: count }, (_, index) => ({
    type: table.getUint32(index * SECTION + 4, true),
    address: u64(table, index * SECTION + 16),
    offset: u64(table, index * SECTION + 24),
    size: u64(table, index * SECTION + 32),
    link: table.getUint32(index * SECTION + 40, true),
  }));
}

function readSymbols(
  read: Read,
  table: Part,
  names: Part,
  segments: readonly Part[],
  wanted: ReadonlySet<string>,
): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  if (table.size > elfLimits.symbolBytes || names.size > elfLimits.nameBytes) return found;
  const longest = Math.max(...[...wanted].map((name) => name.length));
  const text = read(names.offset, names.size);
  if (text === undefined) return found;
  const piece = Math.floor(elfLimits.pieceBytes / SYMBOL) * SYMBOL;
  for (let at = 0; at < table.size && found.size < wanted.size; at += piece) {
    const symbols = read(table.offset + at, Math.min(piece, table.size - at));
    if (symbols === undefined) return found;
    for (let symbol = 0; symbol + SYMBOL <= symbols.byteLength; symbol += SYMBOL) {
      const isDefined = symbols.getUint16(symbol + 6, true) !== 0;
      if (!isDefined || (symbols.getUint8(symbol + 4) & 0xf) !== FUNCTION) continue;
      const name = nameAt(text, symbols.getUint32(symbol, true), longest);
      if (name === undefined || !wanted.has(name)) continue;
      const offset = fileOffset(u64(symbols, symbol + 8), segments);
      if (offset !== undefined) found.set(name, offset);
    }
  }
  return found;
}

function nameAt(text: DataView, start: number, longest: number): string | undefined {
  let name = "";
  for (let at = start; at < text.byteLength && name.length <= longest; at++) {
    const byte = text.getUint8(at);
    if (byte === 0) return name;
    name += String.fromCharCode(byte);
  }
  return undefined;
}

function fileOffset(address: number, segments: readonly Part[]): number | undefined {
  const segment = segments.find((part) => address >= part.address && address < part.address + part.size);
  return segment === undefined ? undefined : address - segment.address + segment.offset;
}

/** Beyond 2^53 nothing lies in a file: such a number leads nowhere, whatever its last bits. */
function u64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}
