/** What a linker needs of a relocatable ELF file for BPF: System V ABI, chapter 4. Our own compiler wrote it. */

export interface Section {
  readonly index: number;
  readonly name: string;
  readonly type: number;
  readonly isCode: boolean;
  /** Of relocations: the section that they change. */
  readonly target: number;
  readonly view: DataView<ArrayBuffer>;
}

export interface ElfSymbol {
  readonly name: string;
  readonly section: number;
  readonly value: number;
  readonly sizeBytes: number;
  readonly isFunction: boolean;
}

export interface Relocation {
  readonly type: number;
  readonly symbol: ElfSymbol;
}

export interface Elf {
  readonly sections: readonly Section[];
  readonly symbols: readonly ElfSymbol[];
  /** @throws where there is none of this name */
  section(name: string): Section;
  /** Those of a section, by the offset of what they change. */
  relocations(section: Section): ReadonlyMap<number, Relocation>;
}

const SECTION = 64;
const SYMBOL = 24;
const RELOCATION = 16;
const sectionType = { symbols: 2, relocations: 9 } as const;
const EXECUTABLE = 4;
const FUNCTION = 2;

export function readElf(file: Uint8Array): Elf {
  const bytes = new Uint8Array(file);
  const view = new DataView(bytes.buffer);
  const EM_BPF = 247;
  if (view.getUint32(0) !== 0x7f454c46 || view.getUint16(18, true) !== EM_BPF)
    throw new Error("no ELF file of BPF");
  const u64 = (at: number): number => Number(view.getBigUint64(at, true));
  const headers = Array.from({ length: view.getUint16(60, true) }, (_, index) => u64(40) + index * SECTION);
  const content = (header: number): DataView<ArrayBuffer> =>
    new DataView(bytes.buffer, u64(header + 24), u64(header + 32));
  const names = content(headers[view.getUint16(62, true)] as number);
  const sections = headers.map(
    (header, index): Section => ({
      index,
      name: textAt(names, view.getUint32(header, true)),
      type: view.getUint32(header + 4, true),
      isCode: (u64(header + 8) & EXECUTABLE) !== 0,
      target: view.getUint32(header + 44, true),
      view: content(header),
    }),
  );
  const section = (name: string): Section => {
    const found = sections.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`no section ${name}`);
    return found;
  };
  const table = section(".symtab").view;
  const texts = section(".strtab").view;
  const symbols = Array.from({ length: table.byteLength / SYMBOL }, (_, index): ElfSymbol => {
    const at = index * SYMBOL;
    return {
      name: textAt(texts, table.getUint32(at, true)),
      section: table.getUint16(at + 6, true),
      value: Number(table.getBigUint64(at + 8, true)),
      sizeBytes: Number(table.getBigUint64(at + 16, true)),
      isFunction: (table.getUint8(at + 4) & 0xf) === FUNCTION,
    };
  });
  return {
    sections,
    symbols,
    section,
    relocations({ index }) {
      const found = new Map<number, Relocation>();
      for (const { type, target, view: records } of sections) {
        if (type !== sectionType.relocations || target !== index) continue;
        for (let at = 0; at < records.byteLength; at += RELOCATION) {
          const info = records.getBigUint64(at + 8, true);
          found.set(Number(records.getBigUint64(at, true)), {
            type: Number(info & 0xffff_ffffn),
            symbol: symbols[Number(info >> 32n)] as ElfSymbol,
          });
        }
      }
      return found;
    },
  };
}

/** A text that ends with a zero. */
export function textAt(view: DataView<ArrayBuffer>, start: number): string {
  const bytes = new Uint8Array(view.buffer, view.byteOffset + start, view.byteLength - start);
  return new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(0)));
}
