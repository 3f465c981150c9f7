/** Of each generation that `apply-forever.ts` applies: so many that storing them takes a while. */
export const DOCUMENTS = 40;

/** The one port that a generation allows. */
export function portOf(number: number): number {
  return 10_000 + number;
}
