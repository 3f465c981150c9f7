/** BTF with enumerations, for tests: Documentation/bpf/btf.rst. */
import { bytesOf, joined } from "../../testing/frames.ts";

const le32 = (value: number): number[] => [
  value & 0xff,
  (value >>> 8) & 0xff,
  (value >>> 16) & 0xff,
  value >>> 24,
];

/**
 * @param stringBase bytes of the strings that a module's continue. Types of other kinds stand between the
 *   enumerations, to be stepped over.
 */
export function enumerationBtf(
  enumerations: readonly [string, readonly [string, number][]][],
  stringBase = 0,
): { readonly bytes: Uint8Array; readonly stringBytes: number } {
  const strings: Uint8Array[] = [Uint8Array.of(0)];
  let size = 1;
  const named = (name: string): number => {
    const at = stringBase + size;
    strings.push(Buffer.from(`${name}\0`));
    size += name.length + 1;
    return at;
  };
  const type = (name: number, kind: number, count: number, rest: readonly number[]): number[] => [
    ...le32(name),
    ...le32((kind << 24) | count),
    ...le32(4),
    ...rest,
  ];
  const types = enumerations.map(([name, values]) => {
    const between = [
      type(0, 1, 0, le32(32)),
      type(0, 4, 2, new Array(24).fill(0)),
      type(0, 13, 1, new Array(8).fill(0)),
    ];
    const rest = values.flatMap(([value, number]) => [...le32(named(value)), ...le32(number)]);
    return [...between.flat(), ...type(named(name), 6, values.length, rest)];
  });
  const body = joined(types);
  const header = [0x9f, 0xeb, 1, 0, ...[24, 0, body.length, body.length, size].flatMap(le32)];
  return { bytes: bytesOf(header, body, joined(strings)), stringBytes: size };
}
