/**
 * Whole numbers as byte planes: first the lowest byte of all values, then the next. A plane has one distribution, which
 * is what entropy coding wants, and a single value can be read without the others.
 * Measured on records of a busy host with zstd: within 2 % of variable-length integers, and quicker to read.
 */

export interface Planes {
  /** 0 for a column of one value; 1 to 7 bytes a value. */
  readonly planes: number;
  /** That value. */
  readonly constant: number;
}

/** Looks at `count` values. @throws RangeError for what is no whole number from 0 up to 2^53 */
export function planesOf(values: Float64Array, count: number): Planes {
  const first = count === 0 ? 0 : (values[0] as number);
  let most = first;
  let isConstant = true;
  for (let index = 0; index < count; index++) {
    const value = values[index] as number;
    if (!(value >= 0) || value > Number.MAX_SAFE_INTEGER || value % 1 !== 0)
      throw new RangeError(`${value} is no whole number below 2^53`);
    if (value !== first) isConstant = false;
    if (value > most) most = value;
  }
  if (isConstant) return { planes: 0, constant: first };
  let planes = 1;
  while (most >= 256 ** planes) planes++;
  return { planes, constant: 0 };
}

/** Writes `planes` × `count` bytes at `offset`. */
export function writePlanes(
  values: Float64Array,
  count: number,
  planes: number,
  into: Uint8Array,
  offset: number,
): void {
  const low = Math.min(planes, 4);
  for (let index = 0; index < count; index++) {
    let word = values[index] as number;
    const high = planes > 4 ? Math.floor(word / 2 ** 32) : 0;
    word >>>= 0;
    let at = offset + index;
    for (let plane = 0; plane < low; plane++, at += count) {
      into[at] = word;
      word >>>= 8;
    }
    word = high;
    for (let plane = 4; plane < planes; plane++, at += count) {
      into[at] = word;
      word >>>= 8;
    }
  }
}

/** Reads them back. */
export function readPlanes(bytes: Uint8Array, offset: number, count: number, planes: number): Float64Array {
  const values = new Float64Array(count);
  for (let plane = planes - 1; plane >= 0; plane--) {
    const scale = 256;
    const from = offset + plane * count;
    for (let index = 0; index < count; index++)
      values[index] = (values[index] as number) * scale + (bytes[from + index] as number);
  }
  return values;
}

/** One value of them. */
export function planeValue(
  bytes: Uint8Array,
  offset: number,
  count: number,
  planes: number,
  index: number,
): number {
  let value = 0;
  for (let plane = planes - 1; plane >= 0; plane--)
    value = value * 256 + (bytes[offset + plane * count + index] as number);
  return value;
}
