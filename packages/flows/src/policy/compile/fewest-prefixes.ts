/**
 * The fewest prefixes that say the same as consecutive ranges do, where the longest prefix wins (R. Draves, C. King,
 * S. Venkatachary, B. Zill: Constructing Optimal IP Routing Tables, INFOCOM 1999), with an answer above them that is
 * given and stays: whoever asks with fewer bits must meet that one.
 */

export interface PrefixOf16 {
  readonly start: number;
  /** 1 to 16. */
  readonly bits: number;
  readonly value: number;
}

interface Half {
  /** Values that cost the least here, ascending. */
  readonly best: readonly number[];
  readonly start: number;
  readonly bits: number;
  readonly low: Half | undefined;
  readonly high: Half | undefined;
}

const BITS = 16;

/**
 * O((ranges + values in them) × 16).
 *
 * @param ends ascending, each range from behind the one before; the last is 65,535.
 * @param values of the ranges.
 * @param above what holds where no prefix is.
 */
export function fewestPrefixes(
  ends: readonly number[],
  values: readonly number[],
  above: number,
): PrefixOf16[] {
  const rangeOf = (place: number, from: number): number => {
    let low = from;
    let high = ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((ends[middle] as number) < place) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  const build = (start: number, bits: number, range: number): Half => {
    const size = 2 ** (BITS - bits);
    if ((ends[range] as number) >= start + size - 1) {
      return { best: [values[range] as number], start, bits, low: undefined, high: undefined };
    }
    const middle = start + size / 2;
    const low = build(start, bits + 1, range);
    const high = build(middle, bits + 1, rangeOf(middle, range));
    return { best: meet(low.best, high.best), start, bits, low, high };
  };
  const prefixes: PrefixOf16[] = [];
  const choose = ({ best, start, bits, low, high }: Half, inherited: number): void => {
    let value = inherited;
    if (!best.includes(inherited)) {
      value = best[0] as number;
      prefixes.push({ start, bits, value });
    }
    if (low !== undefined) choose(low, value);
    if (high !== undefined) choose(high, value);
  };
  for (const start of [0, 2 ** (BITS - 1)]) choose(build(start, 1, rangeOf(start, 0)), above);
  return prefixes;
}

/** What both have, else what either has. */
function meet(a: readonly number[], b: readonly number[]): readonly number[] {
  const either: number[] = [];
  const both: number[] = [];
  let inA = 0;
  let inB = 0;
  while (inA < a.length || inB < b.length) {
    const first = a[inA] ?? Number.POSITIVE_INFINITY;
    const second = b[inB] ?? Number.POSITIVE_INFINITY;
    if (first === second) both.push(first);
    either.push(Math.min(first, second));
    if (first <= second) inA++;
    if (second <= first) inB++;
  }
  return both.length > 0 ? both : either;
}
