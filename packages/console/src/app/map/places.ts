/** The map's places between visits: one list a node and size of the map, in the browser's own storage. */
import type { Place } from "./layout.ts";

/** Of one list; a place takes about 60 bytes, and browsers give a page 5 MB. */
export const mostPlaces = 500;

const keyOf = (host: string, size: string): string => `x0-map:${size}:${host}`;

export function loadPlaces(storage: Storage, host: string, size: string): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const entry of parse(storage.getItem(keyOf(host, size)))) {
    if (!Array.isArray(entry)) continue;
    const [key, x, y] = entry;
    if (typeof key === "string" && isShare(x) && isShare(y)) places.set(key, { x, y });
  }
  return places;
}

/** Those used last are kept; `places` is in the order of use. A full storage keeps what it has. */
export function savePlaces(
  storage: Storage,
  host: string,
  size: string,
  places: ReadonlyMap<string, Place>,
): void {
  const entries = [...places].slice(-mostPlaces).map(([key, { x, y }]) => [key, x, y]);
  try {
    storage.setItem(keyOf(host, size), JSON.stringify(entries));
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** What lies in the storage may be of another version of this page, or cut off. */
function parse(text: string | null): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text ?? "[]");
    return Array.isArray(value) ? value.slice(0, mostPlaces) : [];
  } catch {
    return [];
  }
}

function isShare(value: unknown): value is number {
  return typeof value === "number" && value >= 0 && value <= 1;
}
