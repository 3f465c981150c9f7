/**
 * The form of a block on disk: three parts, so that a query can pass it by after looking at little of it. Dictionaries;
 * hot columns, in groups that are looked at together; cold columns, which only a whole flow needs. Groups are byte
 * planes in frames of zstd (RFC 8878), with its checksum: a damaged one does not unpack.
 */
import { constants, crc32, zstdCompressSync, zstdDecompressSync } from "node:zlib";
import type { FlowProcess } from "../flow.ts";
import { BLOCK_ROWS, type BlockSpan } from "./block.ts";
import { column, columnGroups, columnNames, olderColumnGroups } from "./columns.ts";
import type { Translation } from "./dictionaries.ts";

/** What a damaged or foreign file may at most ask of us. */
const limits = {
  /** More than any block is written with. */
  rows: BLOCK_ROWS,
  /** Two a row, and number 0. */
  entries: 2 * BLOCK_ROWS + 1,
  /** A process or a name is seldom above 200 bytes; this is 2 kB each for as many as there can be. */
  textBytes: 2 * BLOCK_ROWS * 2048,
};

export interface PackedBlock extends BlockSpan {
  /** Of `formatHeader`. */
  readonly header: string;
  readonly dictionaries: Uint8Array;
  readonly hot: Uint8Array;
  readonly cold: Uint8Array;
  /** See `sketch.ts`. */
  readonly sketch: Uint8Array;
}

export type BlockPart = "dictionaries" | "hot" | "cold";

/** What the planes of a column hold. */
export const form = {
  /** Values less `base`. */
  values: 0,
  /** Likewise plus one; 0 stays 0: cookies of flows that have a socket, and none of those that have not. */
  sparse: 1,
  /** Differences to another column: see `relative.ts`. */
  relative: 2,
  /** Places in a table of the column's few values. */
  table: 3,
} as const;

/** Planes (0: one value, `base`), base, form, and the table where the form is one. */
export type ColumnShape = readonly [
  planes: number,
  base: number,
  form: (typeof form)[keyof typeof form],
  table?: readonly number[],
];

export interface Header {
  readonly columns: readonly ColumnShape[];
  /** Packed bytes of each group but the cold one. */
  readonly groups: readonly number[];
  readonly addresses: number;
  /** Packed bytes of addresses, strings, processes, translations; 0 for a list without entries but number 0. */
  readonly dictionaries: readonly number[];
}

/** Most values of a table: its places fit one plane. */
export const TABLE_SIZE = 256;

/** Which columns a block has in which group: their number says it. @throws RangeError */
export function groupsOf({ groups }: Pick<Header, "groups">): readonly (readonly number[])[] {
  const layout = [columnGroups, olderColumnGroups].find(({ length }) => length === groups.length + 1);
  if (layout === undefined) throw new RangeError("a block's groups are of no layout that is known");
  return layout;
}

export const listNames = ["strings", "processes", "translations"] as const;

/** Columns whose values are indexes. */
export const dictionaryOf: ReadonlyMap<number, "addresses" | (typeof listNames)[number]> = new Map([
  [column.source, "addresses"],
  [column.destination, "addresses"],
  [column.sourceName, "strings"],
  [column.destinationName, "strings"],
  [column.serverName, "strings"],
  [column.interface, "strings"],
  [column.dropReason, "strings"],
  [column.rule, "strings"],
  [column.process, "processes"],
  [column.peerProcess, "processes"],
  [column.translation, "translations"],
]);

/** JSON behind its checksum in hexadecimal. */
export function formatHeader(header: Header): string {
  const text = JSON.stringify(header);
  return crc32(text).toString(16).padStart(8, "0") + text;
}

/** @throws RangeError, SyntaxError */
export function parseHeader(count: number, checked: string): Header {
  const text = checked.slice(8);
  if (crc32(text) !== Number.parseInt(checked.slice(0, 8), 16))
    throw new RangeError("a block's header is damaged");
  if (!Number.isInteger(count) || count < 1 || count > limits.rows) throw new RangeError(`${count} rows`);
  const header = JSON.parse(text) as Partial<Header> | null;
  const columns = withRule(header?.columns);
  if (
    !isList(columns, columnNames.length, isShape) ||
    !isList(header?.groups, groupsOf({ groups: header?.groups ?? [] }).length - 1, isSize) ||
    !isList(header?.dictionaries, 1 + listNames.length, isSize) ||
    !isSize(header?.addresses) ||
    (header?.addresses as number) > limits.entries
  )
    throw new RangeError("a block's header is damaged");
  return { ...(header as Header), columns };
}

/** Blocks of before there were policies have no rules. */
function withRule(columns: unknown): ColumnShape[] {
  if (!Array.isArray(columns) || columns.length !== column.rule) return columns as ColumnShape[];
  return [...columns, [0, 0, form.values]];
}

function isSize(size: unknown): boolean {
  return Number.isSafeInteger(size) && (size as number) >= 0;
}

function isList(list: unknown, length: number, check: (each: unknown) => boolean): boolean {
  return Array.isArray(list) && list.length === length && list.every(check);
}

function isShape(value: unknown): boolean {
  if (!Array.isArray(value)) return false;
  const [planes, base, kind, table] = value as unknown[];
  const isTable = Array.isArray(table) && table.length <= TABLE_SIZE && table.every(isSize);
  return (
    isSize(planes) &&
    (planes as number) <= 7 &&
    isSize(base) &&
    (kind === form.table ? isTable && planes === 1 : isSize(kind) && (kind as number) < form.table)
  );
}

/** Processes share most of their texts: `[texts, [pid, indexes of the others + 1, 0 for null]]`. */
export function processesToJson(processes: readonly (FlowProcess | null)[]): unknown {
  const texts = new Map<string, number>();
  const place = (text: string | null): number => {
    if (text === null) return 0;
    const known = texts.get(text) ?? texts.size + 1;
    texts.set(text, known);
    return known;
  };
  const rows = processes.map((process) => {
    if (process === null) return 0;
    const { pid, comm, executable, cgroup, unit, container } = process;
    return [pid, ...[comm, executable, cgroup, unit, container].map(place)];
  });
  return [[...texts.keys()], rows];
}

/** @throws RangeError */
export function processesFromJson(value: unknown): readonly (FlowProcess | null)[] {
  const [texts, rows] = (Array.isArray(value) ? value : []) as [unknown, unknown];
  if (!isTexts(texts) || !Array.isArray(rows) || rows.length > limits.entries)
    throw new RangeError("the processes of a block are damaged");
  const textAt = (place: unknown): string | null => {
    const text = place === 0 ? null : texts[Number(place) - 1];
    if (text === undefined) throw new RangeError("a process of a block is damaged");
    return text;
  };
  return rows.map((row: unknown) => {
    if (row === 0) return null;
    const [pid, comm, executable, cgroup, unit, container] = (Array.isArray(row) ? row : []) as unknown[];
    const name = textAt(comm);
    if (typeof pid !== "number" || name === null) throw new RangeError("a process of a block is damaged");
    return {
      pid,
      comm: name,
      executable: textAt(executable),
      cgroup: textAt(cgroup),
      unit: textAt(unit),
      container: textAt(container),
    };
  });
}

/** @throws RangeError */
export function stringsFromJson(value: unknown): readonly string[] {
  if (isTexts(value)) return value;
  throw new RangeError("the strings of a block are damaged");
}

function isTexts(value: unknown): value is string[] {
  return (
    Array.isArray(value) &&
    value.length <= 5 * limits.entries &&
    value.every((each) => typeof each === "string")
  );
}

/** @throws RangeError */
export function translationsFromJson(value: unknown): readonly Translation[] {
  const isTranslation = (each: unknown): boolean => {
    const { source, destination } = Object(each) as Partial<Translation>;
    return typeof source === "string" && typeof destination === "string";
  };
  if (Array.isArray(value) && value.length <= limits.entries && value.every(isTranslation)) return value;
  throw new RangeError("the translations of a block are damaged");
}

export function compress(bytes: Uint8Array): Uint8Array {
  return zstdCompressSync(bytes, {
    params: { [constants.ZSTD_c_compressionLevel]: 3, [constants.ZSTD_c_checksumFlag]: 1 },
  });
}

/** @throws RangeError or zlib's errors for anything but `length` bytes, packed */
export function decompress(bytes: Uint8Array, length: number): Uint8Array {
  if (length === 0) return new Uint8Array(0);
  const out = zstdDecompressSync(bytes, { maxOutputLength: length, chunkSize: Math.max(64, length) });
  if (out.length !== length) throw new RangeError(`${out.length} bytes instead of ${length}`);
  return out;
}

/** @throws zlib's errors, SyntaxError */
export function decompressJson(bytes: Uint8Array): unknown {
  return JSON.parse(zstdDecompressSync(bytes, { maxOutputLength: limits.textBytes }).toString());
}
