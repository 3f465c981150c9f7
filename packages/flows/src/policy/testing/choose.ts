import type { Random } from "@x0tta6bl4/core";

export function one<T>(random: Random, values: readonly T[]): T {
  return values[random.below(values.length)] as T;
}

/** From `least` to `most`. */
export function some<T>(random: Random, least: number, most: number, make: (index: number) => T): T[] {
  return Array.from({ length: least + random.below(most - least + 1) }, (_, index) => make(index));
}
