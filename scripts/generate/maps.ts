/** Map definitions as libbpf has them: structs in the section `.maps`, told by their types alone. */
import type { MapDefinition, MapShape } from "../../packages/flows/src/kernel/object.ts";
import { type Btf, type BtfType, kind } from "./btf.ts";

/** Types of maps of descriptors and of raw memory: for their keys and values the kernel takes no BTF. */
const withoutTypes: ReadonlySet<number> = new Set([3, 4, 7, 8, 12, 13, 14, 15, 16, 17, 18, 22, 23, 25]);

/** In the order in which they lie in the section, with their offsets there. */
export function readMaps(btf: Btf): { readonly offset: number; readonly map: MapDefinition }[] {
  const section = btf.types.find((type) => type.kind === kind.section && type.name === ".maps");
  return (section?.members ?? []).map(({ type, offset }) => {
    const variable = at(btf, type);
    const { shape, inner } = readDefinition(btf, resolve(btf, variable.sizeOrType), variable.name);
    return { offset, map: { name: variable.name, ...shape, ...(inner === undefined ? {} : { inner }) } };
  });
}

function readDefinition(
  btf: Btf,
  definition: BtfType,
  name: string,
): { readonly shape: MapShape; readonly inner?: MapShape } {
  const shape = { type: 0, keyBytes: 0, valueBytes: 0, maxEntries: 0, flags: 0, keyType: 0, valueType: 0 };
  let inner: MapShape | undefined;
  for (const member of definition.members) {
    // `__uint(name, value)` declares `int (*name)[value]`, `__type(name, type)` declares `type *name`.
    const number = (): number => resolve(btf, pointed(btf, member.type)).count;
    if (member.name === "type") shape.type = number();
    else if (member.name === "max_entries") shape.maxEntries = number();
    else if (member.name === "map_flags") shape.flags = number();
    else if (member.name === "key_size") shape.keyBytes = number();
    else if (member.name === "value_size") shape.valueBytes = number();
    else if (member.name === "key") {
      shape.keyType = pointed(btf, member.type);
      shape.keyBytes = sizeOf(btf, shape.keyType);
    } else if (member.name === "value") {
      shape.valueType = pointed(btf, member.type);
      shape.valueBytes = sizeOf(btf, shape.valueType);
    } else if (member.name === "values") {
      // `__array(values, struct { … })` declares `struct { … } *values[]`.
      const values = resolve(btf, resolve(btf, member.type).element);
      inner = readDefinition(btf, resolve(btf, values.sizeOrType), name).shape;
      shape.valueBytes = 4;
    } else throw new Error(`map ${name}: ${member.name} is not supported`);
  }
  if (withoutTypes.has(shape.type)) shape.keyType = shape.valueType = 0;
  return inner === undefined ? { shape } : { shape, inner };
}

function at(btf: Btf, id: number): BtfType {
  const type = btf.types[id];
  if (type === undefined) throw new Error(`no type ${id}`);
  return type;
}

/** The type behind typedefs and qualifiers. */
function resolve(btf: Btf, id: number): BtfType {
  const [TYPEDEF, VOLATILE, CONST] = [8, 9, 10];
  let type = at(btf, id);
  while (type.kind === TYPEDEF || type.kind === VOLATILE || type.kind === CONST)
    type = at(btf, type.sizeOrType);
  return type;
}

function pointed(btf: Btf, id: number): number {
  const pointer = at(btf, id);
  if (pointer.kind !== kind.pointer) throw new Error("a map's definition has a member that is no pointer");
  return pointer.sizeOrType;
}

function sizeOf(btf: Btf, id: number): number {
  const type = resolve(btf, id);
  if (type.kind === kind.array) return type.count * sizeOf(btf, type.element);
  if (type.kind === kind.pointer) return 8;
  return type.sizeOrType;
}
