/**
 * Where the fields lie in what a map holds, as the map itself says: by the BTF that it was made with. So that what
 * another version of the programs remembers can be read. Documentation/bpf/btf.rst.
 */
import { attributes, command, cString } from "./bpf.ts";
import type { Libc } from "./libc.ts";
import { mapInfo } from "./map.ts";

export interface Field {
  readonly offset: number;
  readonly sizeBytes: number;
}

export interface Layout {
  readonly sizeBytes: number;
  /** By name, those of a struct within by `outer.inner`; what is no run of whole bytes is left out. */
  readonly fields: ReadonlyMap<string, Field>;
}

export interface MapLayout {
  readonly key: Layout;
  readonly value: Layout;
}

/** Of foreign types. The kernel has checked them, but a map may be anybody's. */
export const btfLimits = {
  /** Ours have 40 KB. */
  bytes: 1 << 22,
  /** Structs within structs; the kernel's own limit is 32. */
  depth: 8,
  /** Of all structs within, whatever they are called; ours have 12. */
  fields: 256,
} as const;

const kinds = {
  integer: 1,
  array: 3,
  struct: 4,
  union: 5,
  enumeration: 6,
  typedef: 8,
  volatile: 9,
  const: 10,
};
const MAGIC = 0xeb9f;
const HEADER_BYTES = 24;

/** @returns undefined where the map says nothing of its types, or this process may not ask. @throws X0_FLOWS_KERNEL_CALL */
export function mapLayout(libc: Libc, map: number): MapLayout | undefined {
  const { btf, keyType, valueType } = mapInfo(libc, map);
  if (btf === 0) return undefined;
  const types = btfContent(libc, btf);
  if (types === undefined) return undefined;
  const read = readLayouts(types);
  const [key, value] = [read(keyType), read(valueType)];
  return key === undefined || value === undefined ? undefined : { key, value };
}

function btfContent(libc: Libc, id: number): Uint8Array | undefined {
  const INFO_BYTES = 32;
  const byId = attributes(16);
  byId.view.setUint32(0, id, true);
  const fd = libc.bpf(command.btfIdToFd, byId.bytes);
  if (fd < 0) return undefined;
  const info = libc.allocate(INFO_BYTES);
  const content = libc.allocate(btfLimits.bytes);
  try {
    info.view.setBigUint64(0, content.address, true);
    info.view.setUint32(8, btfLimits.bytes, true);
    const { bytes, view } = attributes(16);
    view.setUint32(0, fd, true);
    view.setUint32(4, INFO_BYTES, true);
    view.setBigUint64(8, info.address, true);
    if (libc.bpf(command.objectInfo, bytes) < 0) return undefined;
    const size = info.view.getUint32(8, true);
    return size > btfLimits.bytes ? undefined : content.bytes.slice(0, size);
  } finally {
    info.free();
    content.free();
    libc.close(fd);
  }
}

/** @returns what gives the layout of a type by its number: undefined for one that is no struct, or makes no sense. */
export function readLayouts(content: Uint8Array): (type: number) => Layout | undefined {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  const u32 = (at: number): number => view.getUint32(at, true);
  const types = typePlaces(content, view);
  const names = content.length < HEADER_BYTES ? 0 : u32(4) + u32(16);
  const nameAt = (offset: number): string => cString(content.subarray(names + offset, names + offset + 128));
  const kindAt = (at: number): number => (u32(at + 4) >>> 24) & 0x1f;

  /** Of what is whole bytes. */
  const sizeOf = (type: number, depth: number): number | undefined => {
    const at = types[type];
    if (at === undefined || depth > btfLimits.depth) return undefined;
    switch (kindAt(at)) {
      case kinds.integer:
      case kinds.struct:
      case kinds.union:
      case kinds.enumeration:
        return u32(at + 8);
      case kinds.typedef:
      case kinds.volatile:
      case kinds.const:
        return sizeOf(u32(at + 8), depth + 1);
      case kinds.array: {
        const element = sizeOf(u32(at + 12), depth + 1);
        return element === undefined ? undefined : element * u32(at + 20);
      }
      default:
        return undefined;
    }
  };
  const structAt = (type: number, depth: number): number | undefined => {
    const at = types[type];
    if (at === undefined || depth > btfLimits.depth) return undefined;
    const kind = kindAt(at);
    if (kind === kinds.struct) return at;
    const isName = kind === kinds.typedef || kind === kinds.volatile || kind === kinds.const;
    return isName ? structAt(u32(at + 8), depth + 1) : undefined;
  };
  /** Members that may still be looked at. */
  let left = 0;
  const collect = (
    type: number,
    begin: number,
    prefix: string,
    depth: number,
    into: Map<string, Field>,
  ): void => {
    const at = structAt(type, depth);
    if (at === undefined) return;
    const info = u32(at + 4);
    for (let member = 0; member < (info & 0xffff) && left > 0; member++, left--) {
      const place = at + 12 + 12 * member;
      // With the flag set, the upper byte of an offset is the width of a bit-field.
      const width = info >>> 31 === 1 ? u32(place + 8) >>> 24 : 0;
      const bits = info >>> 31 === 1 ? u32(place + 8) & 0xff_ffff : u32(place + 8);
      if (width !== 0 || bits % 8 !== 0) continue;
      const sizeBytes = sizeOf(u32(place + 4), depth);
      if (sizeBytes === undefined) continue;
      const name = prefix + nameAt(u32(place));
      const offset = begin + bits / 8;
      into.set(name, { offset, sizeBytes });
      collect(u32(place + 4), offset, `${name}.`, depth + 1, into);
    }
  };
  return (type) => {
    try {
      const sizeBytes = structAt(type, 0) === undefined ? undefined : sizeOf(type, 0);
      if (sizeBytes === undefined) return undefined;
      const fields = new Map<string, Field>();
      left = btfLimits.fields;
      collect(type, 0, "", 0, fields);
      const isWithin = [...fields.values()].every((field) => field.offset + field.sizeBytes <= sizeBytes);
      return isWithin ? { sizeBytes, fields } : undefined;
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  };
}

/** Where each type begins, by its number; as far as they can be told apart. */
function typePlaces(content: Uint8Array, view: DataView): (number | undefined)[] {
  const places: (number | undefined)[] = [undefined];
  if (content.length < HEADER_BYTES || view.getUint16(0, true) !== MAGIC) return places;
  const begin = view.getUint32(4, true) + view.getUint32(8, true);
  const end = Math.min(content.length, begin + view.getUint32(12, true));
  for (let at = begin; at + 12 <= end; ) {
    const info = view.getUint32(at + 4, true);
    const more = extraBytes((info >>> 24) & 0x1f, info & 0xffff);
    if (more === undefined || at + 12 + more > end) break;
    places.push(at);
    at += 12 + more;
  }
  return places;
}

/** What follows the twelve bytes that every type has, by its kind and its count; undefined for an unknown kind. */
function extraBytes(kind: number, count: number): number | undefined {
  const each = [0, 4, 0, 12, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 4, 12, 0, 4, 0, 12][kind];
  if (kind === 0 || each === undefined) return undefined;
  const isList = [4, 5, 6, 13, 15, 19].includes(kind);
  return isList ? each * count : each;
}
