/**
 * A block: up to some thousands of rows, packed so that a query can pass it by after looking at little of it. three
 * parts: dictionaries; hot columns, in groups that are looked at together; cold columns, which only a whole flow needs. Frames are zstd's (RFC 8878), with its checksum: a damaged one does not unpack.
 */
import { constants, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { AddressPrefix } from "../filter.ts";
import type { FlowProcess } from "../flow.ts";
import { column, columnGroups, columnNames, type Rows } from "./columns.ts";
import type { Dictionaries, Translation } from "./dictionaries.ts";
import { differences } from "./differences.ts";
import { planesOf, planeValue, readPlanes, writePlanes } from "./planes.ts";

/** Rows of a full block: 4,096 cost 2 % more room, 16,384 save 2 % and take twice as long to pass by. */
export const BLOCK_ROWS = 8192;

/** What a damaged or foreign file may at most ask of us. */
const limits = {
  /** More than any block is written with. */
  rows: BLOCK_ROWS,
  /** A process or a name is seldom above 200 bytes; this is 2 kB each for as many as there can be. */
  textBytes: 2 * BLOCK_ROWS * 2048,
};

export interface BlockSpan {
  readonly count: number;
  readonly minStartMs: number;
  readonly maxStartMs: number;
  readonly minEndMs: number;
  readonly maxEndMs: number;
}

export interface PackedBlock extends BlockSpan {
  /** JSON. */
  readonly header: string;
  readonly dictionaries: Uint8Array;
  readonly hot: Uint8Array;
  readonly cold: Uint8Array;
}

/** Rows to look at, from a file or not yet written. */
export interface Block {
  readonly count: number;
  /** All values of a column. */
  column(column: number): Float64Array;
  /** One value, without the others. */
  value(column: number, row: number): number;
  readonly addressCount: number;
  /** Writes 16 bytes. */
  address(index: number, into: Uint8Array, at: number): void;
  /**
   * Addresses that pass a test, 1 for each; undefined where none does.
   * @param prefix what all of them begin with: others are passed by without a call.
   */
  addressesWhere(test: (bytes: Uint8Array) => boolean, prefix: AddressPrefix): Uint8Array | undefined;
  readonly strings: readonly string[];
  readonly processes: readonly (FlowProcess | null)[];
  readonly translations: readonly Translation[];
}

interface Header {
  /** Planes, constant, whether differences are stored. */
  readonly columns: readonly (readonly [number, number, 0 | 1])[];
  /** Packed bytes of each group but the cold one. */
  readonly groups: readonly number[];
  readonly addresses: number;
  /** Packed bytes: addresses, strings, processes, translations. */
  readonly dictionaries: readonly number[];
}

const coldGroup = columnGroups.length - 1;
const groupOf: readonly number[] = columnNames.map((_, index) =>
  columnGroups.findIndex((group) => group.includes(index)),
);

const dictionaryOf = new Map<number, "addresses" | "strings" | "processes" | "translations">([
  [column.source, "addresses"],
  [column.destination, "addresses"],
  [column.sourceName, "strings"],
  [column.destinationName, "strings"],
  [column.serverName, "strings"],
  [column.interface, "strings"],
  [column.dropReason, "strings"],
  [column.process, "processes"],
  [column.peerProcess, "processes"],
  [column.translation, "translations"],
]);

/** Packs rows `from` to `to`. O(rows × columns) */
export function packBlock(rows: Rows, from: number, to: number, all: Dictionaries): PackedBlock {
  const count = to - from;
  const used = localDictionaries(all);
  const columns: [number, number, 0 | 1][] = [];
  const values = new Float64Array(count);
  const folded = new Float64Array(count);
  const groups = columnGroups.map((group) => {
    const planes = group.map((index) => {
      values.set((rows.columns[index] as Float64Array).subarray(from, to));
      const dictionary = dictionaryOf.get(index);
      if (dictionary !== undefined) used[dictionary].take(values);
      const isDifference = differences[index]?.subtract(values, folded, rows.columns, from) ?? false;
      const stored = isDifference ? folded : values;
      const shape = planesOf(stored, count);
      columns[index] = [shape.planes, shape.constant, isDifference ? 1 : 0];
      const bytes = new Uint8Array(shape.planes * count);
      writePlanes(stored, count, shape.planes, bytes, 0);
      return bytes;
    });
    return pack(Buffer.concat(planes));
  });
  const dictionaries = [
    pack(transposed(all.addresses.words, used.addresses.indexes)),
    ...(["strings", "processes", "translations"] as const).map((name) => {
      const { indexes } = used[name];
      return indexes.length === 1 ? new Uint8Array(0) : pack(json(indexes.map((index) => all[name][index])));
    }),
  ];
  const [cold] = groups.splice(-1) as [Uint8Array];
  const header: Header = {
    columns,
    groups: groups.map((bytes) => bytes.length),
    addresses: used.addresses.indexes.length,
    dictionaries: dictionaries.map((bytes) => bytes.length),
  };
  const [minStartMs, maxStartMs] = range(rows.columns[column.start] as Float64Array, from, to);
  const [minEndMs, maxEndMs] = range(rows.columns[column.end] as Float64Array, from, to);
  return {
    count,
    minStartMs,
    maxStartMs,
    minEndMs,
    maxEndMs,
    header: JSON.stringify(header),
    dictionaries: Buffer.concat(dictionaries),
    hot: Buffer.concat(groups),
    cold,
  };
}

export type BlockPart = "dictionaries" | "hot" | "cold";

/**
 * @param part reads one of the three, when it is first needed.
 * @throws RangeError, SyntaxError or zlib's errors, here or later, for what `packBlock` has not written
 */
export function unpackBlock(count: number, headerText: string, part: (name: BlockPart) => Uint8Array): Block {
  if (!Number.isInteger(count) || count < 1 || count > limits.rows) throw new RangeError(`${count} rows`);
  const header = checkHeader(JSON.parse(headerText));
  const columns: (Float64Array | undefined)[] = [];
  const parts = new Map<BlockPart, Uint8Array>();
  const partOf = (name: BlockPart): Uint8Array => {
    const bytes = parts.get(name) ?? part(name);
    parts.set(name, bytes);
    return bytes;
  };
  const frame = (name: BlockPart, lengths: readonly number[], index: number): Uint8Array => {
    const from = lengths.slice(0, index).reduce((sum, length) => sum + length, 0);
    return partOf(name).subarray(from, from + (lengths[index] as number));
  };
  const shapeOf = (index: number) => header.columns[index] as Header["columns"][number];
  const groups: (Uint8Array | undefined)[] = [];
  const planesOfGroup = (group: number): Uint8Array => {
    const known = groups[group];
    if (known !== undefined) return known;
    const length = (columnGroups[group] as readonly number[]).reduce(
      (sum, index) => sum + shapeOf(index)[0] * count,
      0,
    );
    const packed = group === coldGroup ? partOf("cold") : frame("hot", header.groups, group);
    const bytes = exactly(unpack(packed, length), length);
    groups[group] = bytes;
    return bytes;
  };
  const offsetOf = (index: number): number => {
    let offset = 0;
    for (const other of columnGroups[groupOf[index] as number] as readonly number[]) {
      if (other === index) break;
      offset += shapeOf(other)[0] * count;
    }
    return offset;
  };
  const columnOf = (index: number): Float64Array => {
    const known = columns[index];
    if (known !== undefined) return known;
    const [planes, constant, isDifference] = shapeOf(index);
    const values =
      planes === 0
        ? new Float64Array(count).fill(constant)
        : readPlanes(planesOfGroup(groupOf[index] as number), offsetOf(index), count, planes);
    if (isDifference === 1) differences[index]?.restore(values, columnOf);
    columns[index] = values;
    return values;
  };
  const listOf = <T>(
    index: number,
    none: string,
    check: (value: unknown) => value is T,
  ): (() => readonly T[]) => {
    let list: readonly T[] | undefined;
    return () => {
      if (list === undefined) {
        const packed = frame("dictionaries", header.dictionaries, index);
        // Nothing but number 0 is not worth a frame.
        const text = packed.length === 0 ? none : unpackText(packed);
        const read: unknown = JSON.parse(text);
        if (!Array.isArray(read) || !read.every(check)) throw new RangeError("a dictionary is damaged");
        list = read;
      }
      return list;
    };
  };
  let addresses: Uint8Array | undefined;
  const addressPlanes = (): Uint8Array => {
    const bytes = 16 * header.addresses;
    addresses ??= exactly(unpack(frame("dictionaries", header.dictionaries, 0), bytes), bytes);
    return addresses;
  };
  const strings = listOf(1, '[""]', (value): value is string => typeof value === "string");
  const processes = listOf(2, "[null]", isProcess);
  const translations = listOf(3, '[{"source":"","destination":""}]', isTranslation);
  return {
    count,
    column: columnOf,
    value(index, row) {
      const known = columns[index];
      if (known !== undefined) return known[row] as number;
      const [planes, constant, isDifference] = shapeOf(index);
      if (isDifference === 1) return columnOf(index)[row] as number;
      if (planes === 0) return constant;
      return planeValue(planesOfGroup(groupOf[index] as number), offsetOf(index), count, planes, row);
    },
    addressCount: header.addresses,
    address(index, into, at) {
      const planes = addressPlanes();
      for (let byte = 0; byte < 16; byte++)
        into[at + byte] = planes[byte * header.addresses + index] as number;
    },
    addressesWhere(test, prefix) {
      const planes = addressPlanes();
      // The last whole byte of the prefix tells most addresses apart.
      const byte = (prefix.prefixBits >> 3) - 1;
      const plane = planes.subarray(byte * header.addresses);
      return where(
        header.addresses,
        byte < 0 ? undefined : { plane, value: prefix.bytes[byte] as number },
        test,
        this,
      );
    },
    get strings() {
      return strings();
    },
    get processes() {
      return processes();
    },
    get translations() {
      return translations();
    },
  };
}

/** Rows that are not written yet. */
export function liveBlock(rows: Rows, all: Dictionaries): Block {
  const { words } = all.addresses;
  return {
    count: rows.count,
    column: (index) => (rows.columns[index] as Float64Array).subarray(0, rows.count),
    value: (index, row) => (rows.columns[index] as Float64Array)[row] as number,
    addressCount: all.addresses.count,
    address: (index, into, at) => into.set(new Uint8Array(words.buffer, index * 16, 16), at),
    addressesWhere(test) {
      return where(all.addresses.count, undefined, test, this);
    },
    strings: all.strings,
    processes: all.processes,
    translations: all.translations,
  };
}

function where(
  count: number,
  byte: { readonly plane: Uint8Array; readonly value: number } | undefined,
  test: (bytes: Uint8Array) => boolean,
  { address }: Pick<Block, "address">,
): Uint8Array | undefined {
  const bytes = new Uint8Array(16);
  let wanted: Uint8Array | undefined;
  for (let index = 0; index < count; index++) {
    if (byte !== undefined && byte.plane[index] !== byte.value) continue;
    address(index, bytes, 0);
    if (!test(bytes)) continue;
    wanted ??= new Uint8Array(count);
    wanted[index] = 1;
  }
  return wanted;
}

function checkHeader(value: unknown): Header {
  const header = value as Partial<Header> | null;
  const isSize = (size: unknown): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  const isColumn = (each: unknown): boolean =>
    Array.isArray(each) && each.length === 3 && each.every(isSize) && each[0] <= 7 && each[2] <= 1;
  const isList = (list: unknown, length: number, check: (each: unknown) => boolean): boolean =>
    Array.isArray(list) && list.length === length && list.every(check);
  if (
    !isList(header?.columns, columnNames.length, isColumn) ||
    !isList(header?.groups, coldGroup, isSize) ||
    !isList(header?.dictionaries, 4, isSize) ||
    !isSize(header?.addresses) ||
    (header?.addresses as number) > 2 * limits.rows
  )
    throw new RangeError("a block's header is damaged");
  return header as Header;
}

function isProcess(value: unknown): value is FlowProcess | null {
  if (value === null) return true;
  const { pid, comm, executable, cgroup, unit, container } = Object(value) as Partial<FlowProcess>;
  const isText = (text: unknown): boolean => text === null || typeof text === "string";
  return (
    typeof pid === "number" && typeof comm === "string" && [executable, cgroup, unit, container].every(isText)
  );
}

function isTranslation(value: unknown): value is Translation {
  const { source, destination } = Object(value) as Partial<Translation>;
  return typeof source === "string" && typeof destination === "string";
}

function pack(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** @param length what is to come out; more is refused. */
function unpack(bytes: Uint8Array, length: number): Uint8Array {
  const maxOutputLength = Math.max(1, length);
  return zstdDecompressSync(bytes, { maxOutputLength, chunkSize: Math.max(64, length) });
}

function unpackText(bytes: Uint8Array): string {
  return zstdDecompressSync(bytes, { maxOutputLength: limits.textBytes }).toString();
}

function exactly(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length !== length) throw new RangeError(`${bytes.length} bytes instead of ${length}`);
  return bytes;
}

function json(value: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(value));
}

function range(values: Float64Array, from: number, to: number): [least: number, most: number] {
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = from; index < to; index++) {
    const value = values[index] as number;
    if (value < least) least = value;
    if (value > most) most = value;
  }
  return [least, most];
}

/** 16 planes of the named addresses. */
function transposed(words: Uint32Array, indexes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const planes = new Uint8Array(16 * indexes.length);
  for (const [at, index] of indexes.entries())
    for (let byte = 0; byte < 16; byte++)
      planes[byte * indexes.length + at] = bytes[16 * index + byte] as number;
  return planes;
}

interface Local {
  /** Which entries the block needs, in the order in which it first does. */
  readonly indexes: number[];
  /** Replaces indexes of all by those of the block. */
  take(values: Float64Array): void;
}

function localDictionaries(
  all: Dictionaries,
): Record<"addresses" | "strings" | "processes" | "translations", Local> {
  const local = (size: number, first: readonly number[]): Local => {
    const places = new Uint32Array(size);
    const indexes = [...first];
    for (const [at, index] of first.entries()) places[index] = at + 1;
    return {
      indexes,
      take(values) {
        for (let at = 0; at < values.length; at++) {
          const index = values[at] as number;
          if (places[index] === 0) places[index] = indexes.push(index);
          values[at] = (places[index] as number) - 1;
        }
      },
    };
  };
  // Number 0 of a list stands for nothing, in a block too.
  return {
    addresses: local(all.addresses.count, []),
    strings: local(all.strings.length, [0]),
    processes: local(all.processes.length, [0]),
    translations: local(all.translations.length, [0]),
  };
}
