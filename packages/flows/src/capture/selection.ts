/** Which devices and namespaces the configuration selects, by name; `*` in a pattern stands for any text. */
import { readdirSync } from "node:fs";

/** Where iproute2 keeps named network namespaces. */
const NAMED = "/run/netns";

export interface Selection {
  /** No pattern: everything. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export function selects({ include, exclude }: Selection, name: string): boolean {
  const matches = (pattern: string): boolean => matchesPattern(pattern, name);
  return (include.length === 0 || include.some(matches)) && !exclude.some(matches);
}

export function matchesPattern(pattern: string, name: string): boolean {
  if (!pattern.includes("*")) return pattern === name;
  const parts = pattern.split("*");
  const first = parts[0] as string;
  const last = parts.at(-1) as string;
  if (name.length < first.length + last.length || !name.startsWith(first) || !name.endsWith(last))
    return false;
  // The leftmost place of each part in turn leaves the most room for the next.
  const end = name.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

export interface SelectedNamespaces {
  /** What the configuration names one by one: names and paths. */
  readonly named: readonly string[];
  /** What its patterns match now. */
  readonly matched: readonly string[];
}

/** @param exclude patterns for names, or paths as they are written in `include`. */
export function selectNamespaces({ include, exclude }: Selection): SelectedNamespaces {
  const isWanted = (place: string): boolean => !exclude.some((pattern) => matchesPattern(pattern, place));
  const patterns = include.filter((place) => place.includes("*"));
  const named = include.filter((place) => !place.includes("*") && isWanted(place));
  const matched =
    patterns.length === 0
      ? []
      : namespaceNames().filter(
          (name) =>
            !named.includes(name) &&
            isWanted(name) &&
            patterns.some((pattern) => matchesPattern(pattern, name)),
        );
  return { named, matched };
}

function namespaceNames(): string[] {
  try {
    return readdirSync(NAMED).sort();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
