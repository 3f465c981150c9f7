/** Which lines of a long list are drawn. */
export interface Window {
  /** First line to draw, and the line after the last. */
  readonly first: number;
  readonly end: number;
}

/**
 * The lines that a viewport of `height` pixels shows when its upper edge lies `offset` pixels below the list's
 * first line (negative: above it), and `spare` lines on both sides. `first` is even, so that striping or
 * alternate rows never flip while scrolling.
 */
export function windowOf(
  offset: number,
  height: number,
  rowHeight: number,
  length: number,
  spare = 8,
): Window {
  const first = Math.floor(offset / rowHeight) - spare;
  const end = Math.ceil((offset + height) / rowHeight) + spare;
  const clamp = (line: number): number => Math.min(Math.max(line, 0), length);
  return { first: clamp(first - (first & 1)), end: clamp(end) };
}

/** How far to scroll so that a line is wholly inside the viewport: 0 when it is. */
export function scrollInto(line: number, offset: number, height: number, rowHeight: number): number {
  const top = line * rowHeight - offset;
  if (top < 0) return top;
  return Math.max(0, top + rowHeight - height);
}
