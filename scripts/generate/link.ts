/**
 * Makes whole programs: each gets its own copy of the functions of `.text` that it calls, behind its own
 * instructions, and its calls, maps and debug information are moved accordingly. libbpf does the same when it
 * loads: `bpf_object__relocate_calls` in tools/lib/bpf/libbpf.c.
 */
import type { BpfObject, ProgramDefinition } from "../../packages/flows/src/kernel/object.ts";
import { instructionCode, pseudoSource } from "../../packages/flows/src/kernel/object-format.ts";
import type { Btf } from "./btf.ts";
import { type DebugInfo, type InfoKind, readDebugInfo } from "./debug-info.ts";
import { type Elf, type ElfSymbol, type Section, textAt } from "./elf.ts";
import { readMaps } from "./maps.ts";
import { hookOf } from "./section-types.ts";

const INSTRUCTION = 8;
const TEXT = ".text";

export function linkObject(elf: Elf, btf: Btf): BpfObject<string, string> {
  const maps = readMaps(btf);
  const debug = readDebugInfo(elf.section(".BTF.ext").view, btf);
  const mapOf = (symbol: ElfSymbol): number => {
    const index = maps.findIndex(({ offset }) => offset === symbol.value);
    if (elf.sections[symbol.section]?.name !== ".maps" || index < 0)
      throw new Error(
        `${symbol.name || "a symbol"} is neither function nor map: global data is not supported`,
      );
    return index;
  };
  const functions = elf.symbols
    .filter(({ isFunction, section }) => isFunction && section !== 0)
    .toSorted((one, other) => one.section - other.section || one.value - other.value);
  const programs = functions.filter(({ section }) => elf.sections[section]?.name !== TEXT);
  return {
    license: textAt(elf.section("license").view, 0),
    btf: bytesOf(elf.section(".BTF")),
    maps: maps.map(({ map }) => map),
    programs: programs.map((main) => linkProgram(elf, debug, functions, main, mapOf)),
  };
}

interface Placed {
  readonly symbol: ElfSymbol;
  readonly section: Section;
  /** Where it begins in its section, and in the program, in instructions. */
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

function linkProgram(
  elf: Elf,
  debug: DebugInfo,
  functions: readonly ElfSymbol[],
  main: ElfSymbol,
  mapOf: (symbol: ElfSymbol) => number,
): ProgramDefinition {
  const placed: Placed[] = [];
  const code: Uint8Array[] = [];
  let length = 0;
  const place = (symbol: ElfSymbol): Placed => {
    const count = symbol.sizeBytes / INSTRUCTION;
    const section = elf.sections[symbol.section] as Section;
    const added = { symbol, section, from: symbol.value / INSTRUCTION, to: length, count };
    const index = placed.push(added) - 1;
    length += count;
    // What it calls first comes right behind it, in libbpf's order, so that results can be compared with libbpf's.
    code[index] = relocate(elf, added, callee, mapOf);
    return added;
  };
  /** Where the program has the function that begins with an instruction of `.text`. */
  const callee = (instruction: number): number => {
    const found = placed.find(({ section, from }) => section.name === TEXT && from === instruction);
    if (found !== undefined) return found.to;
    const symbol = functions.find(
      ({ section, value }) => elf.sections[section]?.name === TEXT && value === instruction * INSTRUCTION,
    );
    if (symbol === undefined) throw new Error(`${main.name} calls what is no function of ${TEXT}`);
    return place(symbol).to;
  };
  place(main);
  const records = (info: InfoKind): Uint8Array =>
    joined(
      placed.flatMap(({ section, from, to, count }) =>
        debug.records(info, section.name, from, from + count, to),
      ),
    );
  return {
    name: main.name,
    ...hookOf((elf.sections[main.section] as Section).name),
    instructions: joined(code),
    functions: records("functions"),
    lines: records("lines"),
    relocations: records("relocations"),
  };
}

/** A function's instructions with its calls and maps as the kernel wants them. */
function relocate(
  elf: Elf,
  { section, from, to, count, symbol }: Placed,
  callee: (instruction: number) => number,
  mapOf: (symbol: ElfSymbol) => number,
): Uint8Array {
  const bytes = bytesOf(section).slice(from * INSTRUCTION, (from + count) * INSTRUCTION);
  const view = new DataView(bytes.buffer);
  const relocations = elf.relocations(section);
  const isText = ({ section: index }: ElfSymbol): boolean => elf.sections[index]?.name === TEXT;
  for (let index = 0; index < count; index++) {
    const at = index * INSTRUCTION;
    const source = (view.getUint8(at + 1) >> 4) & 0xf;
    const immediate = view.getInt32(at + 4, true);
    const relocation = relocations.get((from + index) * INSTRUCTION);
    const put = (pseudo: number, value: number): void => {
      view.setUint8(at + 1, (view.getUint8(at + 1) & 0xf) | (pseudo << 4));
      view.setInt32(at + 4, value, true);
    };
    if (view.getUint8(at) === instructionCode.call && source === pseudoSource.call) {
      const target =
        relocation === undefined
          ? from + index + immediate + 1
          : relocation.symbol.value / INSTRUCTION + immediate + 1;
      if (!isText(relocation?.symbol ?? symbol))
        throw new Error(`${symbol.name} calls ${relocation?.symbol.name ?? "a function"} outside ${TEXT}`);
      put(pseudoSource.call, callee(target) - (to + index) - 1);
    } else if (view.getUint8(at) === instructionCode.load64) {
      if (relocation !== undefined && isText(relocation.symbol)) {
        const target = (relocation.symbol.value + immediate) / INSTRUCTION;
        put(pseudoSource.function, callee(target) - (to + index) - 1);
      } else if (relocation !== undefined) put(pseudoSource.map, mapOf(relocation.symbol));
      // It takes two slots.
      index++;
    } else if (relocation !== undefined)
      throw new Error(`${symbol.name}: ${relocation.symbol.name} is not supported`);
  }
  return bytes;
}

function bytesOf({ view }: Section): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
