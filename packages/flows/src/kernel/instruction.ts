/** One instruction of a program made here: Documentation/bpf/standardization/instruction-set.rst. */

/** Opcodes, by what they do with 64 bits unless they say otherwise. */
export const opcode = {
  load64: 0x18,
  loadMemory: 0x79,
  storeMemory: 0x7b,
  storeMemory32: 0x63,
  add: 0x07,
  move: 0xb7,
  moveRegister: 0xbf,
  call: 0x85,
  exit: 0x95,
} as const;

export function instruction(
  code: number,
  destination: number,
  source: number,
  offset: number,
  immediate: number,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  bytes[0] = code;
  bytes[1] = destination | (source << 4);
  view.setInt16(2, offset, true);
  view.setInt32(4, immediate, true);
  return bytes;
}
