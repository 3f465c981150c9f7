/** Rows → a packed block: see `packed.ts` for its form. */
import { column, columnGroups, type Rows } from "./columns.ts";
import type { Dictionaries } from "./dictionaries.ts";
import { keysOfRows } from "./keys.ts";
import {
  type ColumnShape,
  compress,
  dictionaryOf,
  form,
  formatHeader,
  type Header,
  listNames,
  type PackedBlock,
  processesToJson,
  TABLE_SIZE,
} from "./packed.ts";
import { planesFor, writePlanes } from "./planes.ts";
import { relatives } from "./relative.ts";
import { sketchOf } from "./sketch.ts";

/** Memory to pack blocks in, one after the other. */
export interface PackRoom {
  readonly values: Float64Array;
  readonly scratch: Float64Array;
  readonly planes: Uint8Array;
}

/** @param rows of a block at most. */
export function createPackRoom(rows: number): PackRoom {
  const mostColumns = Math.max(...columnGroups.map(({ length }) => length));
  return {
    values: new Float64Array(rows),
    scratch: new Float64Array(rows),
    planes: new Uint8Array(MOST_PLANES * rows * mostColumns),
  };
}

/** Of a column: values are below 2^53. */
const MOST_PLANES = 7;

/** Packs rows `from` to `to`. O(rows × columns) */
export function packBlock(
  rows: Rows,
  from: number,
  to: number,
  all: Dictionaries,
  room: PackRoom = createPackRoom(to - from),
): PackedBlock {
  const count = to - from;
  const used = localDictionaries(all);
  const columns: ColumnShape[] = [];
  const values = room.values.subarray(0, count);
  const scratch = room.scratch.subarray(0, count);
  const groups = columnGroups.map((group) => {
    let size = 0;
    for (const index of group) {
      const dictionary = dictionaryOf.get(index);
      if (rows.used[index] === 0 && dictionary !== "addresses") {
        columns[index] = [0, 0, form.values];
        continue;
      }
      values.set((rows.columns[index] as Float64Array).subarray(from, to));
      if (dictionary !== undefined) used[dictionary].take(values);
      const { shape, stored } = shapeOf(index, values, scratch, rows, from);
      columns[index] = shape;
      writePlanes(stored, count, shape[0], room.planes, size);
      size += shape[0] * count;
    }
    return compress(room.planes.subarray(0, size));
  });
  const [cold] = groups.splice(-1) as [Uint8Array];
  const dictionaries = [
    compress(transposed(all.addresses.words, used.addresses.indexes)),
    ...listNames.map((name) => {
      const { indexes } = used[name];
      if (indexes.length === 1) return new Uint8Array(0);
      const list =
        name === "processes"
          ? processesToJson(indexes.map((index) => all.processes[index] ?? null))
          : indexes.map((index) => all[name][index]);
      return compress(Buffer.from(JSON.stringify(list)));
    }),
  ];
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
    header: formatHeader(header),
    dictionaries: Buffer.concat(dictionaries),
    hot: Buffer.concat(groups),
    cold,
    sketch: sketchOf(
      keysOfRows(
        rows,
        from,
        to,
        {
          addresses: used.addresses.indexes,
          strings: used.strings.indexes,
          processes: used.processes.indexes,
        },
        all,
      ),
    ),
  };
}

/** How a column is stored, and the values for its planes. */
function shapeOf(
  index: number,
  values: Float64Array,
  scratch: Float64Array,
  rows: Rows,
  from: number,
): { readonly shape: ColumnShape; readonly stored: Float64Array } {
  const [least, most] = range(values, 0, values.length);
  if (least === most) return { shape: [0, least, form.values], stored: values };
  const relative = relatives[index];
  if (relative !== undefined) {
    const others = rows.columns[relative.to] as Float64Array;
    for (let row = 0; row < values.length; row++)
      scratch[row] = relative.subtract(values[row] as number, others[from + row] as number);
    if (range(scratch, 0, values.length)[1] <= Number.MAX_SAFE_INTEGER)
      return { shape: [Math.max(1, planesFor(scratch)), 0, form.relative], stored: scratch };
  }
  if (index === column.cookie) {
    let base = most;
    for (const value of values) if (value !== 0 && value < base) base = value;
    for (let row = 0; row < values.length; row++)
      scratch[row] = values[row] === 0 ? 0 : (values[row] as number) - base + 1;
    return { shape: [planesFor(scratch), base, form.sparse], stored: scratch };
  }
  const table = most > 255 ? tableOf(values, scratch) : undefined;
  if (table !== undefined) return { shape: [1, 0, form.table, table], stored: scratch };
  // The low bits of an identifier name its CPU, and stay as they are.
  const base = index === column.id ? least - (least % 1024) : least;
  for (let row = 0; row < values.length; row++) scratch[row] = (values[row] as number) - base;
  return { shape: [planesFor(scratch), base, form.values], stored: scratch };
}

/** Few values become places in a table of them; undefined where there are more. */
function tableOf(values: Float64Array, places: Float64Array): number[] | undefined {
  const known = new Map<number, number>();
  for (let row = 0; row < values.length; row++) {
    const value = values[row] as number;
    let place = known.get(value);
    if (place === undefined) {
      if (known.size === TABLE_SIZE) return undefined;
      place = known.size;
      known.set(value, place);
    }
    places[row] = place;
  }
  return [...known.keys()];
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
  for (let at = 0; at < indexes.length; at++) {
    const index = indexes[at] as number;
    for (let byte = 0; byte < 16; byte++)
      planes[byte * indexes.length + at] = bytes[16 * index + byte] as number;
  }
  return planes;
}

interface Local {
  /** Which entries the block needs, in the order in which it first does. */
  readonly indexes: number[];
  /** Replaces indexes of all by those of the block. */
  take(values: Float64Array): void;
}

function localDictionaries(all: Dictionaries): Record<"addresses" | (typeof listNames)[number], Local> {
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
