/** Lines and ways between the boxes of the map. */
import type { Place, Room, Size } from "./layout.ts";

export interface Point {
  readonly x: number;
  readonly y: number;
}

export function pointOf({ x, y }: Place, { width, height }: Room): Point {
  return { x: x * width, y: y * height };
}

/** From the edge of one box to the edge of the other, with a gap that leaves an arrow's point visible. */
export function lineBetween(from: Point, to: Point, box: Size): readonly [Point, Point] {
  return [edgeTowards(from, to, box, 0), edgeTowards(to, from, box, 3)];
}

function edgeTowards(from: Point, to: Point, box: Size, gap: number): Point {
  const [dx, dy] = [to.x - from.x, to.y - from.y];
  const share = Math.min(
    dx === 0 ? 1 : (box.width / 2 + gap) / Math.abs(dx),
    dy === 0 ? 1 : (box.height / 2 + gap) / Math.abs(dy),
    0.5,
  );
  return { x: from.x + dx * share, y: from.y + dy * share };
}

/** From 1 to 5 pixels, a pixel for each factor of 100: a gigabyte is three pixels wider than a kilobyte. */
export function strokeOf(bytes: number): number {
  return Math.min(5, 1 + Math.max(0, Math.log10(bytes / 1000) / 2));
}

const directions: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 },
  ArrowRight: { x: 1, y: 0 },
  ArrowUp: { x: 0, y: -1 },
  ArrowDown: { x: 0, y: 1 },
};

/** The nearest place in the direction of an arrow key: what lies straight ahead is nearer than what lies aside. */
export function nextTowards(
  key: string,
  from: Point,
  others: Iterable<readonly [string, Point]>,
): string | undefined {
  const towards = directions[key];
  if (towards === undefined) return undefined;
  let best: { key: string; cost: number } | undefined;
  for (const [name, { x, y }] of others) {
    const ahead = (x - from.x) * towards.x + (y - from.y) * towards.y;
    if (ahead <= 0.5) continue;
    const aside = Math.abs((x - from.x) * towards.y) + Math.abs((y - from.y) * towards.x);
    const cost = ahead + 2 * aside;
    if (best === undefined || cost < best.cost) best = { key: name, cost };
  }
  return best?.key;
}
