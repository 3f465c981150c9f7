/** The middle value; the mean of the two middle ones for an even count. O(n log n) @throws RangeError if there is none */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("no values to take a median of");
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1] as number;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[(sorted.length >> 1) - 1] as number)) / 2;
}

/** @param digits significant digits, so that a figure does not claim more than it knows */
export function round(value: number, digits = 4): number {
  return Number(value.toPrecision(digits));
}

/** The medians of the lower and of the upper half. @throws RangeError if there are no values */
export function quartiles(values: readonly number[]): readonly [lower: number, upper: number] {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.max(1, sorted.length >> 1);
  return [median(sorted.slice(0, half)), median(sorted.slice(-half))];
}
