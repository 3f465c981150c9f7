/**
 * The largest of very many sums in bounded memory. Up to twice `capacity` keys are held; then the smaller half goes,
 * and what the largest of those had is how much a sum that starts later may lack: each true sum lies between the one
 * told and that plus `missing` (frequent items; Misra and Gries 1982, in the batched form of Anderson et al. 2017).
 */
export interface HeavyHitters<Sums extends Record<string, number>, Detail> {
  /** Keys told are at most this much too small, by weight; 0 as long as all keys had room. */
  readonly missing: number;
  /** @param detail of a key that is new here; `update` merges into one that is not. */
  add(key: string, weight: number, sums: Sums, detail: Detail): void;
  /** The `count` heaviest, heaviest first. */
  top(
    count: number,
  ): { readonly key: string; readonly weight: number; readonly sums: Sums; readonly detail: Detail }[];
}

interface Entry<Sums, Detail> {
  weight: number;
  readonly sums: Sums;
  detail: Detail;
}

/** @param merge details of a key that comes again. */
export function heavyHitters<Sums extends Record<string, number>, Detail>(
  capacity: number,
  merge: (before: Detail, next: Detail) => Detail,
): HeavyHitters<Sums, Detail> {
  let held = new Map<string, Entry<Sums, Detail>>();
  let missing = 0;
  const byWeight = (a: [string, Entry<Sums, Detail>], b: [string, Entry<Sums, Detail>]): number =>
    b[1].weight - a[1].weight || (a[0] < b[0] ? -1 : 1);
  return {
    get missing() {
      return missing;
    },
    add(key, weight, sums, detail) {
      const known = held.get(key);
      if (known !== undefined) {
        known.weight += weight;
        for (const name in sums)
          (known.sums as Record<string, number>)[name] =
            (known.sums[name] as number) + (sums[name] as number);
        known.detail = merge(known.detail, detail);
        return;
      }
      held.set(key, { weight, sums: { ...sums }, detail });
      if (held.size <= 2 * capacity) return;
      const sorted = [...held].sort(byWeight);
      missing += sorted[capacity]?.[1].weight ?? 0;
      held = new Map(sorted.slice(0, capacity));
    },
    top: (count) =>
      [...held]
        .sort(byWeight)
        .slice(0, count)
        .map(([key, { weight, sums, detail }]) => ({ key, weight, sums, detail })),
  };
}
