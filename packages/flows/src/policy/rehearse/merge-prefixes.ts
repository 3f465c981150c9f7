import { isIn } from "../compile/prefix-tree.ts";
import type { Prefix } from "../model.ts";

/** The fewest prefixes with exactly the addresses of these: halves that are both there become one. Sorted. */
export function mergePrefixes(prefixes: readonly Prefix[]): Prefix[] {
  const byKey = new Map(prefixes.map((prefix) => [keyOf(prefix), prefix]));
  const longestFirst = [...byKey.values()].sort((a, b) => b.bits - a.bits);
  for (let bits = longestFirst[0]?.bits ?? 0; bits > 0; bits--)
    for (const prefix of [...byKey.values()]) {
      // Below 96 bits IPv4 would become IPv6.
      if (prefix.bits !== bits || bits === 96) continue;
      const other = byKey.get(keyOf(siblingOf(prefix)));
      if (other === undefined) continue;
      byKey.delete(keyOf(prefix));
      byKey.delete(keyOf(other));
      const whole = { bytes: lower(prefix, other).bytes, bits: bits - 1 };
      byKey.set(keyOf(whole), whole);
    }
  const sorted = [...byKey.values()].sort((a, b) => Buffer.compare(a.bytes, b.bytes) || a.bits - b.bits);
  const kept: Prefix[] = [];
  for (const prefix of sorted) {
    const before = kept.at(-1);
    if (before === undefined || !isIn(before, prefix.bytes)) kept.push(prefix);
  }
  return kept;
}

function keyOf({ bytes, bits }: Prefix): string {
  return `${Buffer.from(bytes).toString("hex")}/${bits}`;
}

function siblingOf({ bytes, bits }: Prefix): Prefix {
  const other = bytes.slice();
  const at = (bits - 1) >> 3;
  other[at] = (other[at] as number) ^ (0x80 >> ((bits - 1) & 7));
  return { bytes: other, bits };
}

function lower(a: Prefix, b: Prefix): Prefix {
  return Buffer.compare(a.bytes, b.bytes) <= 0 ? a : b;
}
