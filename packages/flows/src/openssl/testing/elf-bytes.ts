/** A small ELF file with functions, for tests: System V ABI, chapters 4 and 5. */

export interface TestFunction {
  readonly name: string;
  readonly address: number;
  /** 0 where another file defines it. */
  readonly section?: number;
  /** 2 for functions, 1 for data. */
  readonly type?: number;
}

/** One segment maps file offset 0x1000 to address 0x401000, 0x10000 bytes long. */
export function elfBytes(functions: readonly TestFunction[], tableType = 11): Uint8Array {
  const names = Buffer.from(`\0${functions.map(({ name }) => `${name}\0`).join("")}`);
  const [segments, sections, symbols] = [64, 64 + 56, 64 + 56 + 3 * 64] as const;
  const namesAt = symbols + functions.length * 24;
  const bytes = new Uint8Array(namesAt + names.length);
  const view = new DataView(bytes.buffer);
  const u64 = (at: number, value: number): void => view.setBigUint64(at, BigInt(value), true);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  u64(32, segments);
  u64(40, sections);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  view.setUint32(segments, 1, true);
  u64(segments + 8, 0x1000);
  u64(segments + 16, 0x401000);
  u64(segments + 32, 0x10000);
  const section = (index: number, type: number, offset: number, size: number, link: number): void => {
    const at = sections + index * 64;
    view.setUint32(at + 4, type, true);
    u64(at + 24, offset);
    u64(at + 32, size);
    view.setUint32(at + 40, link, true);
  };
  section(1, tableType, symbols, functions.length * 24, 2);
  section(2, 3, namesAt, names.length, 0);
  let name = 1;
  for (const [index, each] of functions.entries()) {
    const at = symbols + index * 24;
    view.setUint32(at, name, true);
    view.setUint8(at + 4, (1 << 4) | (each.type ?? 2));
    view.setUint16(at + 6, each.section ?? 1, true);
    u64(at + 8, each.address);
    name += each.name.length + 1;
  }
  bytes.set(names, namesAt);
  return bytes;
}
