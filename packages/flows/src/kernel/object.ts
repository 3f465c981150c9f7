/** Reads the file of a BPF object. Format: object-format.ts. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { flowsFail } from "../errors.ts";
import { instructionCode, mapNumbers, objectFile, pseudoSource, recordBytes } from "./object-format.ts";

export type MapShape = Readonly<Record<(typeof mapNumbers)[number], number>>;

export interface MapDefinition<Name extends string = string> extends MapShape {
  readonly name: Name;
  /** Of a map of maps: what it holds. */
  readonly inner?: MapShape;
}

/** A type that the kernel's own BTF names, and its `BTF_KIND_*`. */
export interface KernelType {
  readonly kind: number;
  readonly name: string;
}

export interface ProgramDefinition<Name extends string = string> {
  readonly name: Name;
  readonly type: number;
  readonly attachType: number;
  /** What it attaches to, where it is loaded for exactly that: a tracepoint's arguments, an iterator. */
  readonly kernelType?: KernelType;
  /** Maps are numbers of those of the object. */
  readonly instructions: Uint8Array;
  readonly functions: Uint8Array;
  readonly lines: Uint8Array;
  readonly relocations: Uint8Array;
}

export interface BpfObject<MapName extends string, ProgramName extends string> {
  readonly license: string;
  readonly btf: Uint8Array;
  readonly maps: readonly MapDefinition<MapName>[];
  readonly programs: readonly ProgramDefinition<ProgramName>[];
}

/** What a file may hold. It comes with the package, but a disk may have damaged it. */
export const objectLimits = {
  /** Ours have 0.2 MB. */
  fileBytes: 16 << 20,
  /** `MAX_USED_MAPS` of the kernel, for one program. */
  maps: 64,
  /** Ours have 14. */
  programs: 256,
  /** A type in the kernel is a text on the 512 bytes of a BPF program's stack; ours have 26. */
  nameBytes: 128,
} as const;

/**
 * @param names that the file must have, in its order: those that the generated layout tells.
 * @throws X0_FLOWS_PROGRAMS_DAMAGED
 */
export function readObject<MapName extends string, ProgramName extends string>(
  file: URL,
  names: { readonly maps: readonly MapName[]; readonly programs: readonly ProgramName[] },
): BpfObject<MapName, ProgramName> {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    throw damaged(`${file.pathname} cannot be read`, error);
  }
  const object = decodeObject(bytes);
  for (const [what, found, wanted] of [
    ["maps", object.maps, names.maps],
    ["programs", object.programs, names.programs],
  ] as const)
    if (found.map(({ name }) => name).join() !== wanted.join())
      throw damaged(`${file.pathname} has other ${what} than this x0 was built for`);
  return object as BpfObject<MapName, ProgramName>;
}

/** @throws X0_FLOWS_PROGRAMS_DAMAGED */
export function decodeObject(file: Uint8Array): BpfObject<string, string> {
  const { magic, version, checksumBytes, headerBytes } = objectFile;
  if (file.length > objectLimits.fileBytes) throw damaged(`a file of BPF programs has ${file.length} bytes`);
  const header = Buffer.from(file.subarray(0, headerBytes));
  if (header.length < headerBytes || header.toString("latin1", 0, magic.length) !== magic)
    throw damaged("a file of BPF programs does not begin as one");
  if (header.readUInt16LE(magic.length) !== version)
    throw damaged(`a file of BPF programs has version ${header.readUInt16LE(magic.length)}, not ${version}`);
  const contentAt = headerBytes + checksumBytes;
  // Not of Buffer, whose slices share their bytes.
  const content = new Uint8Array(file.buffer, file.byteOffset).subarray(contentAt, file.length);
  const checksum = createHash("sha256").update(content).digest();
  if (!checksum.equals(file.subarray(headerBytes, contentAt)))
    throw damaged("a file of BPF programs is not what was written");
  const cursor = cursorOver(content);
  const object = {
    license: cursor.name(),
    btf: cursor.bytes(),
    maps: cursor.list(objectLimits.maps, () => readMap(cursor)),
    programs: cursor.list(objectLimits.programs, () => readProgram(cursor)),
  };
  if (!cursor.isAtEnd()) throw damaged("a file of BPF programs goes on after its end");
  for (const { instructions } of object.programs) checkMaps(instructions, object.maps.length);
  return object;
}

function readMap(cursor: Cursor): MapDefinition {
  const shape = (): MapShape =>
    Object.fromEntries(mapNumbers.map((name) => [name, cursor.u32()])) as Record<keyof MapShape, number>;
  const definition = { name: cursor.name(), ...shape() };
  return cursor.u32() === 0 ? definition : { ...definition, inner: shape() };
}

function readProgram(cursor: Cursor): ProgramDefinition {
  const name = cursor.name();
  const type = cursor.u32();
  const attachType = cursor.u32();
  const kernelType = { kind: cursor.u32(), name: cursor.name() };
  const INSTRUCTION = 8;
  return {
    name,
    type,
    attachType,
    ...(kernelType.kind === 0 ? {} : { kernelType }),
    instructions: cursor.bytes(INSTRUCTION),
    functions: cursor.bytes(recordBytes.functions),
    lines: cursor.bytes(recordBytes.lines),
    relocations: cursor.bytes(recordBytes.relocations),
  };
}

/** A number beyond the list of maps would make the kernel read what lies behind that list. */
function checkMaps(instructions: Uint8Array, maps: number): void {
  const view = new DataView(instructions.buffer, instructions.byteOffset, instructions.byteLength);
  for (let at = 0; at < instructions.length; at += 8) {
    if (view.getUint8(at) !== instructionCode.load64) continue;
    const source = view.getUint8(at + 1) >> 4;
    const isKnown = source === 0 || source === pseudoSource.function;
    const isMap = source === pseudoSource.map && view.getUint32(at + 4, true) < maps;
    if (!isKnown && !isMap) throw damaged("a BPF program refers to what its file does not have");
    at += 8;
  }
}

interface Cursor {
  u32(): number;
  /** @param unit that the length is a multiple of */
  bytes(unit?: number): Uint8Array;
  name(): string;
  list<T>(most: number, read: () => T): T[];
  isAtEnd(): boolean;
}

function cursorOver(content: Uint8Array): Cursor {
  const view = new DataView(content.buffer, content.byteOffset, content.byteLength);
  let at = 0;
  const u32 = (): number => {
    if (content.length - at < 4) throw damaged("a file of BPF programs ends too early");
    at += 4;
    return view.getUint32(at - 4, true);
  };
  const bytes = (unit = 1): Uint8Array => {
    const length = u32();
    if (length > content.length - at || length % unit !== 0)
      throw damaged("a file of BPF programs has a length that it cannot have");
    at += length;
    return content.subarray(at - length, at);
  };
  return {
    u32,
    bytes,
    name() {
      const text = Buffer.from(bytes()).toString("latin1");
      if (text.length > objectLimits.nameBytes || /[^\x20-\x7e]/.test(text))
        throw damaged("a file of BPF programs has a name that is none");
      return text;
    },
    list(most, read) {
      const count = u32();
      if (count > most)
        throw damaged(`a file of BPF programs has lists of ${count}, at most ${most} are read`);
      return Array.from({ length: count }, read);
    },
    isAtEnd: () => at === content.length,
  };
}

function damaged(message: string, cause?: unknown): Error {
  return flowsFail("X0_FLOWS_PROGRAMS_DAMAGED", message, { hint: "install x0 again", cause });
}
