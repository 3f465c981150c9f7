/** Writes the file of a BPF object: packages/flows/src/kernel/object-format.ts. */
import { createHash } from "node:crypto";
import type {
  BpfObject,
  MapDefinition,
  MapShape,
  ProgramDefinition,
} from "../../packages/flows/src/kernel/object.ts";
import { mapNumbers, objectFile } from "../../packages/flows/src/kernel/object-format.ts";

export function encodeObject(object: BpfObject<string, string>): Uint8Array {
  return sealed(
    Buffer.concat([
      text(object.license),
      run(object.btf),
      u32(object.maps.length),
      ...object.maps.map(encodeMap),
      u32(object.programs.length),
      ...object.programs.map(encodeProgram),
    ]),
  );
}

/** The content with what stands before it. */
export function sealed(content: Uint8Array): Uint8Array {
  const version = Buffer.alloc(2);
  version.writeUInt16LE(objectFile.version);
  const checksum = createHash("sha256").update(content).digest();
  return new Uint8Array(Buffer.concat([Buffer.from(objectFile.magic), version, checksum, content]));
}

function encodeMap(map: MapDefinition): Uint8Array {
  const shape = (of: MapShape): Buffer => Buffer.concat(mapNumbers.map((name) => u32(of[name])));
  const inner = map.inner === undefined ? [u32(0)] : [u32(1), shape(map.inner)];
  return Buffer.concat([text(map.name), shape(map), ...inner]);
}

function encodeProgram(program: ProgramDefinition): Uint8Array {
  const { name, type, attachType, kernelType, instructions, functions, lines, relocations } = program;
  return Buffer.concat([
    text(name),
    u32(type),
    u32(attachType),
    u32(kernelType?.kind ?? 0),
    text(kernelType?.name ?? ""),
    ...[instructions, functions, lines, relocations].map(run),
  ]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function run(bytes: Uint8Array): Buffer {
  return Buffer.concat([u32(bytes.length), bytes]);
}

function text(value: string): Buffer {
  return run(Buffer.from(value, "latin1"));
}
