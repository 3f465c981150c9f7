/** A packed block → rows to look at; each part is read and unpacked when it is first needed. */
import type { FlowProcess } from "../flow.ts";
import { addressesThat, type Block } from "./block.ts";
import { columnNames } from "./columns.ts";
import type { Translation } from "./dictionaries.ts";
import {
  type BlockPart,
  type ColumnShape,
  decompress,
  decompressJson,
  form,
  groupsOf,
  parseHeader,
  processesFromJson,
  stringsFromJson,
  translationsFromJson,
} from "./packed.ts";
import { planeValue, readPlanes } from "./planes.ts";
import { relatives } from "./relative.ts";

const noTranslations: readonly Translation[] = [{ source: "", destination: "" }];

/**
 * @param part reads one of the three.
 * @throws RangeError, SyntaxError or zlib's errors, here or later, for what `packBlock` has not written
 */
export function unpackBlock(count: number, headerText: string, part: (name: BlockPart) => Uint8Array): Block {
  const header = parseHeader(count, headerText);
  const columns: (Float64Array | undefined)[] = [];
  const groups: (Uint8Array | undefined)[] = [];
  const parts = new Map<BlockPart, Uint8Array>();
  const frame = (name: BlockPart, lengths: readonly number[], index: number): Uint8Array => {
    const bytes = parts.get(name) ?? part(name);
    parts.set(name, bytes);
    let from = 0;
    for (let before = 0; before < index; before++) from += lengths[before] as number;
    return bytes.subarray(from, from + (lengths[index] as number));
  };
  const shapeOf = (index: number): ColumnShape => header.columns[index] as ColumnShape;
  const layout = groupsOf(header);
  const offsets = columnNames.map(() => 0);
  const groupOf = columnNames.map(() => 0);
  const lengths = layout.map((group, which) => {
    let length = 0;
    for (const index of group) {
      offsets[index] = length;
      groupOf[index] = which;
      length += shapeOf(index)[0] * count;
    }
    return length;
  });
  const planesOf = (index: number): Uint8Array => {
    const group = groupOf[index] as number;
    const known = groups[group];
    if (known !== undefined) return known;
    const packed = group === layout.length - 1 ? part("cold") : frame("hot", header.groups, group);
    const bytes = decompress(packed, lengths[group] as number);
    groups[group] = bytes;
    return bytes;
  };
  const columnOf = (index: number): Float64Array => {
    const known = columns[index];
    if (known !== undefined) return known;
    const [planes, base, kind, table] = shapeOf(index);
    const values =
      planes === 0
        ? new Float64Array(count).fill(base)
        : readPlanes(planesOf(index), offsets[index] as number, count, planes);
    if (planes > 0) restoreAll(values, base, kind, table, index, columnOf);
    columns[index] = values;
    return values;
  };
  const valueAt = (index: number, row: number): number => {
    const known = columns[index];
    if (known !== undefined) return known[row] as number;
    const [planes, base, kind, table] = shapeOf(index);
    if (planes === 0) return base;
    const stored = planeValue(planesOf(index), offsets[index] as number, count, planes, row);
    switch (kind) {
      case form.sparse:
        return stored === 0 ? 0 : base + stored - 1;
      case form.table:
        return table?.[stored] ?? 0;
      case form.relative: {
        const relative = relatives[index];
        return relative === undefined ? stored : relative.restore(stored, valueAt(relative.to, row));
      }
      default:
        return base + stored;
    }
  };
  const list = <T>(index: number, none: readonly T[], from: (value: unknown) => readonly T[]) => {
    let known: readonly T[] | undefined;
    return (): readonly T[] => {
      if (known !== undefined) return known;
      const packed = frame("dictionaries", header.dictionaries, index);
      known = packed.length === 0 ? none : from(decompressJson(packed));
      return known;
    };
  };
  let addresses: Uint8Array | undefined;
  const addressPlanes = (): Uint8Array => {
    addresses ??= decompress(frame("dictionaries", header.dictionaries, 0), 16 * header.addresses);
    return addresses;
  };
  const strings = list<string>(1, [""], stringsFromJson);
  const processes = list<FlowProcess | null>(2, [null], processesFromJson);
  const translations = list<Translation>(3, noTranslations, translationsFromJson);
  return {
    count,
    column: columnOf,
    value: valueAt,
    addressCount: header.addresses,
    address(index, into, at) {
      const planes = addressPlanes();
      for (let byte = 0; byte < 16; byte++)
        into[at + byte] = planes[byte * header.addresses + index] as number;
    },
    addressesWhere(test, prefix) {
      // The last whole byte of the prefix tells most addresses apart.
      const byte = (prefix.prefixBits >> 3) - 1;
      if (byte < 0) return addressesThat(test, this);
      const plane = addressPlanes().subarray(byte * header.addresses);
      return addressesThat(test, this, { plane, value: prefix.bytes[byte] as number });
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

/** In place: what the planes hold becomes the values. */
function restoreAll(
  values: Float64Array,
  base: number,
  kind: ColumnShape[2],
  table: readonly number[] | undefined,
  index: number,
  columnOf: (column: number) => Float64Array,
): void {
  if (kind === form.table) {
    const entries = Float64Array.from(table ?? []);
    for (let row = 0; row < values.length; row++) values[row] = entries[values[row] as number] ?? 0;
  } else if (kind === form.sparse) {
    for (let row = 0; row < values.length; row++)
      if (values[row] !== 0) values[row] = (values[row] as number) + base - 1;
  } else if (kind === form.values) {
    if (base !== 0)
      for (let row = 0; row < values.length; row++) values[row] = (values[row] as number) + base;
  } else {
    const relative = relatives[index];
    if (relative === undefined) throw new RangeError("a column is not relative to any");
    const others = columnOf(relative.to);
    for (let row = 0; row < values.length; row++)
      values[row] = relative.restore(values[row] as number, others[row] as number);
  }
}
